"""Faults on purpose: which rules are read, whom they are meant for, and when they strike."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from customhouse.model.contracts import no_fault
from customhouse.testing.faults import Faults, FaultsFile, Rule, from_environment, parse


def _strikes(fault, point):
    try:
        fault(point)
    except OSError as error:
        return error.errno
    return 0


def test_a_rule_names_kind_point_deed_and_count():
    rules = parse("collector/log.before_sync:received=kill@3; state.*=eio ;x=sleep:0.5@*")

    assert rules == [
        Rule("log.before_sync:received", "kill", 3, "collector"),
        Rule("state.*", "eio", 1),
        Rule("x", "sleep:0.5", 0),
    ]


@pytest.mark.parametrize("text", ["point", "point=explode", "point=kill@soon", "=="])
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueError, match="a fault reads"):
        parse(text)


def test_a_rule_strikes_at_its_count_and_only_there():
    fault = Faults(parse("disk=enospc@2"))

    assert [_strikes(fault, "disk") for _ in range(3)] == [0, errno.ENOSPC, 0]


def test_a_star_strikes_every_time_and_at_every_point_below():
    fault = Faults(parse("disk.*=eio@*"))

    assert [_strikes(fault, point) for point in ("disk.a", "disk.b", "disk.a", "else")] == [5, 5, 5, 0]


def test_a_rule_for_another_kind_of_process_is_no_rule():
    environment = {"CUSTOMHOUSE_FAULTS": "pipeline/disk=eio"}

    assert from_environment(environment, "collector") is no_fault
    assert _strikes(from_environment(environment, "pipeline"), "disk") == errno.EIO


def test_without_rules_nothing_is_counted():
    assert from_environment({}, "collector") is no_fault


def test_a_file_may_come_change_and_go(tmp_path):
    fault, path = FaultsFile(tmp_path / "collector"), tmp_path / "collector"
    before = _strikes(fault, "disk")
    path.write_text("disk=eio@*")
    there = _strikes(fault, "disk")
    other = tmp_path / "other"
    other.write_text("disk=enospc@*")
    other.replace(path)
    changed = _strikes(fault, "disk")
    path.unlink()

    assert [before, there, changed, _strikes(fault, "disk")] == [0, errno.EIO, errno.ENOSPC, 0]


def test_a_process_removes_its_file_before_it_kills_itself(tmp_path):
    (tmp_path / "pipeline").write_text("disk=kill@2")
    program = """
import os
from customhouse.testing.faults import from_environment
fault = from_environment(os.environ, "pipeline")
for _ in range(3):
    fault("disk")
    print("alive", flush=True)
"""

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"CUSTOMHOUSE_FAULTS_FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == -signal.SIGKILL
    assert done.stdout == "alive\n"
    assert not (tmp_path / "pipeline").exists()
