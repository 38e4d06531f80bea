"""
The wheel as somebody else installs it: everything it needs is inside, and two commands give a house that works.

The wheel is built here and installed into an environment of its own. What it depends on is not installed again: a path
file lends the environment this one's packages, which are those of the lock. So the test proves what the wheel holds,
not that the lock can be installed; `make` does that.
"""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest
from house import free_port

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "customhouse"
ASSET = re.compile(r'(?:href|src)="(/[^"#]+\.(?:css|js|svg)(?:\?[^"]*)?)"')


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--quiet")
    subprocess.run([*build, "--disable-pip-version-check", "--wheel-dir", str(folder)], check=True, timeout=110)
    (path,) = folder.glob("customhouse-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel where no source is; return the folder of its commands."""
    home = tmp_path_factory.mktemp("elsewhere") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=60)
    place = subprocess.run(
        [home / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    Path(place.stdout.strip(), "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = (sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--no-deps")
    quiet = ("--no-index", "--quiet", "--disable-pip-version-check", "--ignore-installed")
    subprocess.run([*install, *quiet, str(wheel)], check=True, timeout=60)
    return home / "bin"


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel):
    listed = subprocess.run(
        ["git", "ls-files", "src/customhouse"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    ours = {name.removeprefix("src/") for name in listed.stdout.split() if (ROOT / name).is_file()}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert not ours - held
    assert "customhouse/console/templates/base.html" in held and "customhouse/py.typed" in held
    strange = [name for name in held if not name.startswith(("customhouse/", "customhouse-"))]
    assert not strange and not [name for name in held if "test_" in name or "__pycache__" in name]
    assert any(name.endswith("licenses/LICENSE") for name in held)


def test_init_and_run_give_a_house_that_takes_events_shows_them_and_ends(installed, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CUSTOMHOUSE"))}
    command = {"cwd": tmp_path, "env": environment | {"COLUMNS": "200"}}
    where = [installed / "python", "-c", "import customhouse; print(customhouse.__file__)"]
    found = subprocess.run(where, **command, check=True, capture_output=True, text=True, timeout=30)
    assert str(installed.parent) in found.stdout, "the source was imported, not the wheel"

    made = subprocess.run(
        [installed / "customhouse", "init", "shop"], **command, check=True, capture_output=True, text=True, timeout=30
    )
    assert "customhouse run --workspace shop" in made.stdout

    port, log = free_port(), tmp_path / "house.log"
    run = [installed / "customhouse", "run", "--workspace", "shop", "--port", str(port), "--console-port", "0"]
    with log.open("wb") as said:
        house = subprocess.Popen(run, **command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    try:
        wait(lambda: "Customhouse is open" in log.read_text(), house, log)
        key = (tmp_path / "shop/secrets/web.key").read_text().strip()
        curl = [
            "curl",
            "-fsS",
            "-u",
            f"{key}:",
            f"http://127.0.0.1:{port}/v1/track",
            "-H",
            "content-type: application/json",
        ]
        body = json.dumps({"event": "Hello World", "anonymousId": "me", "messageId": "first"})
        sent = subprocess.run([*curl, "-d", body], check=True, capture_output=True, text=True, timeout=30)
        assert json.loads(sent.stdout) == {"success": True}

        tail = [installed / "customhouse", "tail", "--workspace", "shop", "--no-follow", "--json"]
        wait(lambda: "first" in subprocess.check_output(tail, **command, text=True, timeout=30), house, log)

        console = json.loads((tmp_path / "shop/.data/run/console.json").read_bytes())["port"]
        page = get(console, "/")
        assets = sorted(set(ASSET.findall(page)))
        assert len(assets) >= 3, page
        assert all(get(console, asset) for asset in assets), assets
    finally:
        house.send_signal(signal.SIGTERM)
        code = house.wait(60)
    assert code == 0, log.read_text()


def wait(predicate, house, log):
    until = time.monotonic() + 60
    while not predicate():
        assert house.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.1)


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        assert answer.status == 200
        return answer.read().decode()
