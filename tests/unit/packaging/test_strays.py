import subprocess
import sys
import time
from pathlib import Path

from customhouse.cli.strays import bury


def child(code):
    process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])
    state = ""
    while state != "Z":  # ended, and nobody has taken note
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        time.sleep(0.01)
    return process


def test_strays_are_buried_and_our_own_keep_their_exit_code():
    stray = child(0)
    assert bury([]) == 1
    assert bury([]) == 0
    mine = child(3)
    assert bury([mine.pid]) == 0
    assert mine.wait(5) == 3
    stray.returncode = 0  # the burial took its code


def test_a_stray_behind_one_of_our_own_waits_its_turn():
    mine, stray = child(4), child(0)
    first = bury([mine.pid])
    assert mine.wait(5) == 4
    assert first + bury([mine.pid]) == 1
    stray.returncode = 0
