import asyncio
import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from customhouse.app.configuration import read
from customhouse.app.windows.inspection import inspect, machine, reachable
from customhouse.app.windows.inspection.disk import disk, file_system
from customhouse.app.windows.inspection.permissions import permissions
from customhouse.app.windows.inspection.ports import owner_of, ports
from customhouse.app.windows.inspection.reachable import knock
from customhouse.app.windows.inspection.smells import smells
from customhouse.app.workspace import Workspace
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.frames import RECEIVED_TOPIC
from customhouse.telemetry.logs import open_log

CLOCK = sys.modules["customhouse.app.windows.inspection.machine"]
GOOD = """\
name: shop
sources:
  web: {write_key: 'file:secrets/web.key'}
destinations:
  lake: {type: lake}
routes:
  - to: lake
alarms: {webhook: {url: 'file:secrets/alarm.url'}}
"""
MOUNTS = """\
21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 21 0:44 / /mnt/shared\\040files rw - nfs4 server:/x rw
31 21 0:45 / /mnt rw - tmpfs tmpfs rw
a line that is cut
"""


@pytest.fixture
def place(tmp_path):
    made = Workspace(tmp_path, tmp_path / ".data")
    made.plan.mkdir()
    made.config_file.write_text(GOOD)
    (tmp_path / "secrets").mkdir()
    for name, text in (("web.key", "k"), ("alarm.url", "http://127.0.0.1:9/x")):
        (tmp_path / "secrets" / name).write_text(text)
        (tmp_path / "secrets" / name).chmod(0o600)
    made.prepare(open_log("test"))
    return made


def written(place, text=GOOD):
    place.config_file.write_text(text)
    _, configuration, plan = read(place, {})
    return configuration, plan


def by_name(findings):
    return {finding.name: finding for finding in findings}


def told(findings):
    return [finding.told for finding in findings]


def test_everything_is_looked_at_and_whatever_is_wrong_says_how_it_is_mended(place):
    findings = inspect(place, offline=True)
    looked = {finding.name for finding in findings}
    assert {"python", "clock", "open files", "disk", "durability", "data folder", "keys", "secrets"} <= looked
    assert {"configuration", "door", "console", "processes"} <= looked and "reach alarms" not in looked
    assert all(finding.mend for finding in findings if finding.verdict != "ok")
    assert not any(finding.verdict == "problem" for finding in findings), findings
    assert not list(place.data.glob(".doctor-*")), "nothing is left behind"


def test_a_configuration_that_cannot_be_read_hides_nothing_else(place):
    place.config_file.write_text("name: shop\nsurces: {}\n")
    findings = by_name(inspect(place))
    assert findings["configuration"].verdict == "problem" and "customhouse check" in findings["configuration"].mend
    assert "disk" in findings and "data folder" in findings


@pytest.mark.parametrize(("path", "kind"), [("/srv", "ext4"), ("/mnt/shared files/data", "nfs4"), ("/mnt/a", "tmpfs")])
def test_the_file_system_is_the_one_of_the_longest_mount(path, kind):
    assert file_system(Path(path), MOUNTS) == kind


def test_a_disk_below_the_floor_must_be_mended(place):
    free = os.statvfs(place.data)
    there = free.f_bavail * free.f_frsize
    assert by_name(disk(place, there * 2))["disk"].verdict == "problem"
    assert by_name(disk(place, there * 3 // 4))["disk"].verdict == "warning"
    assert by_name(disk(place, 0))["disk"].verdict == "ok"


def test_a_folder_nothing_can_be_written_in_is_told_by_the_disk(place, tmp_path):
    gone = Workspace(tmp_path / "file", tmp_path / "file")
    (tmp_path / "file").write_text("")
    found = by_name(disk(gone, 0))["durability"]
    assert found.verdict == "problem" and "Not a directory" in found.told


@pytest.mark.parametrize(("status", "verdict"), [(None, "ok"), (0, "ok"), (0x40, "warning"), (0x2041, "warning")])
def test_a_clock_that_runs_free_is_doubted(status, verdict):
    assert CLOCK._synchronised(status).verdict == verdict


def test_the_kernels_word_on_the_clock_can_be_read():
    assert CLOCK.clock_status() is None or CLOCK.clock_status() >= 0


def test_a_clock_that_went_back_behind_the_log_must_be_mended(place):
    log = EmbeddedLog(place.log)
    log.append(RECEIVED_TOPIC, 0, b"x", 1, int((time.time() + 7200) * 1e6))
    log.close()
    found = by_name(machine(place))["clock and log"]
    assert found.verdict == "problem" and "1 h 59 min" in found.told


def test_the_tightest_bound_of_memory_is_found(tmp_path):
    inside = tmp_path / "user.slice" / "house.service"
    inside.mkdir(parents=True)
    assert CLOCK._cgroup(tmp_path, "/user.slice/house.service") is None
    (inside / "memory.max").write_text("max\n")
    (inside / "memory.current").write_text("400\n")
    assert CLOCK._cgroup(tmp_path, "/user.slice/house.service") is None
    (inside / "memory.max").write_text("1000\n")
    assert CLOCK._cgroup(tmp_path, "/user.slice/house.service") == 600
    older = tmp_path / "memory"
    older.mkdir()
    (older / "memory.limit_in_bytes").write_text("700\n")
    (older / "memory.usage_in_bytes").write_text("800\n")
    assert CLOCK._cgroup(tmp_path, "/elsewhere") == 0


def test_a_port_that_is_taken_names_who_has_it(place):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        configuration, _ = written(place, GOOD + f"listen: {{port: {port}}}\nconsole: {{port: 0}}\n")
        found = by_name(ports(place, configuration))
        assert found["door"].verdict == "problem"
        assert f"CUSTOMHOUSE_PORT={port + 10}" in found["door"].mend
        assert owner_of(port).startswith(f"process {os.getpid()} (") and owner_of(port) in found["door"].told
        assert found["console"].told == "takes any free port"
    assert by_name(ports(place, configuration))["door"].verdict == "ok"
    assert owner_of(port) == ""


def test_files_others_can_read_are_told_with_the_command(place):
    configuration, _ = written(place)
    assert {finding.verdict for finding in permissions(place, configuration)} == {"ok"}
    (place.root / "secrets" / "web.key").chmod(0o644)
    place.data.chmod(0o755)
    found = by_name(permissions(place, configuration))
    assert found["secrets"].mend == f"chmod 600 {place.root / 'secrets' / 'web.key'}"
    assert found["data folder"].mend == f"chmod 700 {place.data}"
    configuration, _ = written(place, GOOD.replace("'file:secrets/web.key'", "written-here"))
    place.config_file.chmod(0o644)
    found = permissions(place, configuration)
    assert "holds secrets" in by_name(found)["configuration file"].told


def test_what_a_configuration_smells_of(place):
    configuration, plan = written(place)
    assert list(smells(configuration, plan)) == []
    text = """\
name: shop
listen: {host: 0.0.0.0}
sources:
  web: {write_key: 'file:secrets/web.key', enabled: false}
destinations:
  hook: {type: webhook, url: 'http://hooks.example.com/in', on_overflow: expire, backlog_hours: null}
routes: []
plan: {unknown_events: quarantine}
retention: {received_days: 1}
"""
    configuration, plan = written(place, text)
    found = "\n".join(told(smells(configuration, plan)))
    for word in (
        "no route leads here", "trusts no proxy", "every source is switched off", "there is no lake", "over http",
        "has no budget", "every track call is held back", "kept 1 days", "posted nowhere",
    ):  # fmt: skip
        assert word in found
    (place.plan / "seen.yaml").write_text("event: Seen\nversion: 1.0.0\nowner: t\ndescription: d\nproperties: {}\n")
    configuration, plan = written(place)
    assert told(smells(configuration, plan)) == ["1 of 1 planned events require nothing: Seen"]


def test_destinations_are_knocked_at_and_no_event_is_sent(place):
    with socket.create_server(("127.0.0.1", 0)) as there, socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))
        hooks = {
            "up": there.getsockname()[1],
            "down": gone.getsockname()[1],
        }
        more = "".join(
            f"  {name}: {{type: webhook, url: 'http://127.0.0.1:{port}/secret-path'}}\n" for name, port in hooks.items()
        )
        more += "  lost: {type: webhook, url: 'https://no-such-host.invalid/'}\n"
        configuration, _ = written(place, GOOD.replace("routes:", f"{more}routes:"))
        found = by_name(reachable(place, configuration))
        heard = there.accept()[0]
        assert heard.recv(100) == b"", "nothing is said, and the line is hung up"
        heard.close()
    assert {name: finding.verdict for name, finding in found.items()} == {
        "reach up": "ok", "reach down": "problem", "reach lost": "problem", "reach alarms": "problem",
    }  # fmt: skip
    assert "Connection refused" in found["reach down"].told or "Connect call failed" in found["reach down"].told
    assert "cannot be resolved" in found["reach lost"].told or "does not answer" in found["reach lost"].told
    assert "secret-path" not in str(found)


def test_certificates_are_looked_at(tmp_path):
    key, paper = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", str(key), "-out", str(paper), "-days", "5", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost"]  # fmt: skip
    subprocess.run(make, check=True, capture_output=True, timeout=30)

    async def story():
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(paper, key)
        trusting = ssl.create_default_context(cafile=str(paper))
        async with await asyncio.start_server(lambda _r, w: w.close(), "localhost", 0, ssl=server) as running:
            port = running.sockets[0].getsockname()[1]
            url = urlsplit(f"https://localhost:{port}/x")
            return await knock("strange", url), await knock("trusted", url, trusting)

    strange, trusted = asyncio.run(story())
    assert (strange.verdict, "not trusted" in strange.told) == ("problem", True)
    assert (trusted.verdict, "expires in 5 days" in trusted.told) == ("warning", True)
