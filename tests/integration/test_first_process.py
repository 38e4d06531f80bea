"""The house as the first process of a container would be: it buries orphans, hears SIGTERM, and ends in order."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from house import House
from knock import send

ROOT = Path(__file__).resolve().parents[2]
APART = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child")
pytestmark = pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*APART, "true"], check=False, capture_output=True).returncode != 0,
    reason="this machine does not allow process namespaces, which stand for a container here",
)


def ended(pid):
    """Return the children of a process that have ended and were not buried."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == pid:
            found.append(stat.parent.name)
    return found


def inside(process):
    """Return the process id, as seen from here, of the first process of the namespace."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


def test_as_process_one_it_buries_orphans_and_closes_when_told(tmp_path):
    shop = House(tmp_path / "shop")
    log = tmp_path / "said"
    run = [
        sys.executable,
        "-m",
        "customhouse.cli.main",
        "run",
        "-w",
        str(shop.folder),
        "--port",
        "0",
        "--console-port",
        "0",
    ]
    # The shell leaves an orphan behind and becomes the house.
    script = 'sleep 1 & exec "$@"'
    with log.open("wb") as said:
        process = subprocess.Popen([*APART, "sh", "-c", script, "sh", *run], stdout=said, stderr=said)
    try:
        shop.wait_until(lambda: "Customhouse is open" in log.read_text(), 60, "the house is open")
        door = json.loads((shop.data / "run/collector.json").read_bytes())["port"]
        assert send(f"http://127.0.0.1:{door}", {"event": "Hi", "anonymousId": "me", "messageId": "m"}).status == 200
        health = [sys.executable, str(ROOT / "packaging/docker/health.py")]
        well = subprocess.run(health, env={"CUSTOMHOUSE_DATA": str(shop.data)}, check=False, capture_output=True)
        assert well.returncode == 0, well.stderr
        first = inside(process)
        time.sleep(1.5)  # the orphan's second
        shop.wait_until(lambda: not ended(first), 10, "orphans are buried")
        subprocess.run(["kill", "-TERM", str(first)], check=True)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait(10)
    sick = subprocess.run(health, env={"CUSTOMHOUSE_DATA": str(shop.data)}, check=False, capture_output=True, text=True)
    assert sick.returncode == 1 and "collector does not answer" in sick.stderr
