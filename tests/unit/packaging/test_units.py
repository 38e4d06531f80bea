"""
The systemd unit: read by systemd's own tools where they are installed, and held to rules of ours everywhere.

`systemd-analyze verify` proves that systemd knows every setting and takes its value; `security` rates what is left open.
Neither starts the service: that needs a machine that systemd runs.
"""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "packaging" / "systemd"
UNIT = FOLDER / "customhouse.service"
DRAIN = 70
MOST_EXPOSED = 15
"""Of 100; systemd calls up to 20 OK. What is left is the network, and memory sizes in /proc."""
analyze = shutil.which("systemd-analyze")
by_systemd = pytest.mark.skipif(analyze is None, reason="systemd's tools are not installed")


class Settings(dict):
    """Keeps every value of a setting that stands several times."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and key in self:
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


@pytest.fixture(scope="module")
def unit():
    parser = configparser.RawConfigParser(strict=False, dict_type=Settings, comment_prefixes="#", delimiters="=")
    parser.optionxform = str
    parser.read_string(UNIT.read_text())
    return {name: dict(parser.items(name)) for name in parser.sections()}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@by_systemd
def test_systemd_knows_every_setting(tmp_path):
    unit = tmp_path / "customhouse.service"
    unit.write_text(UNIT.read_text().replace("/opt/customhouse/bin/customhouse", "/bin/true"))
    done = run(analyze, "verify", "--man=no", str(unit))
    complaints = [line for line in done.stderr.splitlines() if "customhouse.service" in line]
    assert done.returncode == 0 and not complaints, done.stderr


@by_systemd
def test_systemd_finds_a_setting_that_is_wrong(tmp_path):
    unit = tmp_path / "customhouse.service"
    text = UNIT.read_text().replace("/opt/customhouse/bin/customhouse", "/bin/true")
    unit.write_text(text.replace("ProtectSystem=strict", "ProtectSystem=perhaps"))
    assert "protect system" in run(analyze, "verify", "--man=no", str(unit)).stderr


@by_systemd
def test_systemd_rates_what_is_left_open_as_little():
    done = run(analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", str(UNIT))
    assert done.returncode == 0, done.stdout[-400:]


@by_systemd
def test_users_and_folders_are_made(tmp_path):
    if not shutil.which("systemd-sysusers") or not shutil.which("systemd-tmpfiles"):
        pytest.skip("systemd's tools for users and folders are not installed")
    root = f"--root={tmp_path}"
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", root, str(FOLDER / "customhouse.sysusers"))
    assert made.returncode == 0, made.stderr
    assert re.search(r"^customhouse:", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)
    made = run("systemd-tmpfiles", "--create", root, str(FOLDER / "customhouse.tmpfiles"))
    assert (tmp_path / "etc/customhouse/secrets").is_dir(), made.stderr


def test_it_gives_up_every_right_it_can(unit):
    service = unit["Service"]
    yes = ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules",
           "ProtectControlGroups", "RestrictNamespaces", "RestrictSUIDSGID", "LockPersonality", "ProtectHome",
           "MemoryDenyWriteExecute", "ProtectClock", "ProtectHostname", "RestrictRealtime")  # fmt: skip
    assert all(service[name] == "yes" for name in yes)
    assert service["ProtectSystem"] == "strict" and service["CapabilityBoundingSet"] == ""
    assert service["RestrictAddressFamilies"].split() == ["AF_INET", "AF_INET6", "AF_UNIX"]
    assert service["User"] == "customhouse" and "root" not in service.values()


def test_it_waits_for_the_drain_and_tells_the_supervisor_alone(unit):
    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) > DRAIN
    assert (service["KillMode"], service["KillSignal"]) == ("mixed", "SIGTERM")
    assert service["ExecReload"].endswith("customhouse reload") and service["ExecStart"].endswith("customhouse run")
    assert int(service["LimitNOFILE"]) >= 8192


def test_the_example_of_the_environment_holds_no_value():
    lines = (FOLDER / "customhouse.env.example").read_text().splitlines()
    assert not [line for line in lines if line.strip() and not line.startswith("#")]
