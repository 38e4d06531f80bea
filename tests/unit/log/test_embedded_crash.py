"""What is left after a kill, a power cut or a failing disk, and how the log goes on from there."""

import os
import shutil
import signal
import subprocess
import sys
from errno import EIO, ENOSPC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.log.embedded import EmbeddedLog
from customhouse.log.segment import FRAME_HEADER
from customhouse.model.errors import Unavailable

PLENTY = 1 << 30
BODIES = (b"first", b"second " * 9, b"the last frame " * 3)


def fill(folder, bodies=BODIES, **options):
    log = EmbeddedLog(folder, **options)
    frames = [log.append("t", 0, body, 2, n) for n, body in enumerate(bodies)]
    log.close()
    return frames


def everything(log):
    return log.read("t", 0, after=-1, limit=PLENTY)


def part(folder):
    return folder / "t" / "0"


def newest(folder):
    return max(part(folder).glob("*.seg"))


def forget_mark(folder):
    """Leave of the mark what a power cut may leave: nothing."""
    (part(folder) / "durable").unlink()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pristine")
    return folder, fill(folder)


@pytest.mark.parametrize("damage", ["torn", "zeros", "noise"])
@pytest.mark.parametrize("kept", range(FRAME_HEADER + len(BODIES[-1])))
def test_a_frame_torn_at_any_byte_is_cut_and_its_positions_are_used_again(pristine, tmp_path, kept, damage):
    source, frames = pristine
    folder = tmp_path / "log"
    shutil.copytree(source, folder)
    forget_mark(folder)
    path = newest(folder)
    size = path.stat().st_size
    lost = FRAME_HEADER + len(BODIES[-1]) - kept
    os.truncate(path, size - lost)
    if damage != "torn":
        with path.open("ab") as file:
            file.write(bytes(lost) if damage == "zeros" else b"\xa5" * lost)
    reader, writer = EmbeddedLog(folder), EmbeddedLog(folder)
    assert everything(reader) == frames[:-1]
    again = writer.append("t", 0, b"again", 1, 9)
    assert (again.base, again.total) == (frames[-1].base, frames[-1].total)
    assert everything(reader) == [*frames[:-1], again]
    writer.close()
    assert everything(EmbeddedLog(folder)) == [*frames[:-1], again]


def test_a_whole_frame_behind_an_old_mark_is_kept(tmp_path):
    folder = tmp_path / "log"
    frames = fill(folder, BODIES[:2])
    old = (part(folder) / "durable").read_bytes()
    log = EmbeddedLog(folder)
    frames.append(log.append("t", 0, BODIES[2], 2, 2))
    log.close()
    (part(folder) / "durable").write_bytes(old)
    reader = EmbeddedLog(folder)
    assert everything(reader) == frames
    assert reader.last("t", 0) == frames[-1]


def test_a_mark_torn_in_the_middle_leaves_the_one_before(tmp_path):
    folder = tmp_path / "log"
    frames = fill(folder)
    raw = bytearray((part(folder) / "durable").read_bytes())
    turn = len(frames)
    raw[turn % 2 * 512 + 20] ^= 0xFF
    (part(folder) / "durable").write_bytes(raw)
    assert everything(EmbeddedLog(folder)) == frames


def test_a_segment_that_was_only_just_created_is_no_obstacle(tmp_path):
    for length in (0, 5, 32):
        folder = tmp_path / str(length)
        frames = fill(folder)
        header = newest(folder).read_bytes()[:32]
        (part(folder) / f"{frames[-1].last + 1:020}.seg").write_bytes(header[:length])
        assert everything(EmbeddedLog(folder)) == frames
        log = EmbeddedLog(folder)
        frames.append(log.append("t", 0, b"on", 1, 9))
        assert everything(log) == frames
        log.close()


def test_positions_a_lying_disk_lost_are_not_given_out_again(tmp_path):
    folder = tmp_path / "log"
    frames = fill(folder)
    path = newest(folder)
    os.truncate(path, path.stat().st_size - 1)
    log = EmbeddedLog(folder)
    again = log.append("t", 0, b"again", 1, 9)
    assert (again.base, again.total) == (frames[-1].last + 1, frames[-1].total + frames[-1].count)
    assert everything(EmbeddedLog(folder)) == [*frames[:-1], again]
    log.close()
    log = EmbeddedLog(folder)
    further = log.append("t", 0, b"further", 1, 10)
    assert everything(EmbeddedLog(folder)) == [*frames[:-1], again, further]
    log.close()


class Disk:
    """Fails at one point of the road until it is mended; a failing one does what the kernel may do first."""

    def __init__(self):
        self.fails_at = ""
        self.error = EIO
        self.meanwhile = lambda: None
        self.points = []

    def __call__(self, point):
        self.points.append(point)
        if point == self.fails_at:
            self.meanwhile()
            raise OSError(self.error, os.strerror(self.error))


POINTS = [f"log.{word}:t" for word in ("before_write", "after_write", "before_sync", "after_sync")]


@pytest.mark.parametrize("error", [EIO, ENOSPC])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("before", [0, 2])
def test_a_failed_frame_is_never_seen_and_the_next_one_takes_its_positions(tmp_path, point, before, error):
    disk = Disk()
    log, reader = EmbeddedLog(tmp_path, fault=disk), EmbeddedLog(tmp_path)
    frames = [log.append("t", 0, b"%d" % n, 3, n) for n in range(before)]
    disk.fails_at, disk.error = point, error
    disk.meanwhile = lambda: seen.append(everything(reader))
    for _ in range(3):
        seen = []
        with pytest.raises(Unavailable, match=os.strerror(error)):
            log.append("t", 0, b"doubtful" * 50, 3, 7)
        assert seen in ([], [frames])
        assert everything(reader) == everything(log) == frames
    disk.fails_at = ""
    frames += [log.append("t", 0, b"after %d" % n, 3, n) for n in range(3)]
    assert [f.base for f in frames] == [3 * n for n in range(before + 3)]
    assert everything(reader) == everything(EmbeddedLog(tmp_path)) == frames
    log.close()
    assert len(list(part(tmp_path).glob("*.seg"))) == (2 if before else 1)


def test_a_doubtful_tail_that_cannot_be_cut_off_is_passed_by(tmp_path, monkeypatch):
    disk = Disk()
    log = EmbeddedLog(tmp_path, fault=disk)
    frames = [log.append("t", 0, b"good", 2, 0)]
    disk.fails_at = "log.after_sync:t"

    def stuck(fd, length):
        raise OSError(EIO, "stuck")

    monkeypatch.setattr(os, "ftruncate", stuck)
    with pytest.raises(Unavailable):
        log.append("t", 0, b"doubtful", 2, 1)
    monkeypatch.undo()
    disk.fails_at = ""
    frames += [log.append("t", 0, b"good again", 2, n) for n in range(2)]
    assert b"doubtful" in min(part(tmp_path).glob("*.seg")).read_bytes()
    for reader in (log, EmbeddedLog(tmp_path)):
        assert everything(reader) == frames
    log.close()


def test_a_disk_that_cannot_make_a_new_segment_is_unavailable_until_it_can(tmp_path):
    disk = Disk()
    log = EmbeddedLog(tmp_path, segment_bytes=1, fault=disk)
    frames = [log.append("t", 0, b"good", 2, 0)]
    disk.fails_at = "log.new_segment:t"
    with pytest.raises(Unavailable):
        log.append("t", 0, b"no room", 2, 1)
    disk.fails_at = ""
    frames.append(log.append("t", 0, b"room", 2, 1))
    assert everything(log) == frames
    log.close()


def test_a_real_disk_without_room_is_unavailable_and_then_goes_on(tmp_path):
    import resource

    log = EmbeddedLog(tmp_path)
    frames = [log.append("t", 0, b"good", 1, 0)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # The kernel writes the part that fits and says so: a short write.
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(Unavailable, match="bytes were written"):
            log.append("t", 0, b"x" * 10_000, 1, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    frames.append(log.append("t", 0, b"x" * 10_000, 1, 1))
    assert everything(log) == everything(EmbeddedLog(tmp_path)) == frames
    log.close()


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["", *POINTS]), st.booleans(), st.integers(0, 80)), max_size=15),
    segment=st.integers(1, 500),
)
def test_whatever_fails_and_whenever_it_restarts_what_was_acknowledged_stays(tmp_path_factory, steps, segment):
    folder = tmp_path_factory.mktemp("log")
    disk = Disk()
    log, reader = EmbeddedLog(folder, segment_bytes=segment, fault=disk), EmbeddedLog(folder)
    acknowledged = []
    for n, (fails_at, restarts, size) in enumerate(steps):
        disk.fails_at = fails_at
        try:
            acknowledged.append(log.append("t", 0, b"%03d" % n + b"x" * size, 2, n))
        except Unavailable:
            assert fails_at
        assert everything(reader) == acknowledged
        if restarts:
            log.close()
            log = EmbeddedLog(folder, segment_bytes=segment, fault=disk)
    log.close()
    assert everything(EmbeddedLog(folder)) == acknowledged


_APPENDER = """
import sys
from pathlib import Path
from customhouse.log.embedded import EmbeddedLog
log = EmbeddedLog(Path(sys.argv[1]), segment_bytes=20_000)
n = 0
while True:
    n += 1
    frame = log.append("t", 0, b"%09d" % n * (n % 300), n % 3, n)
    print(frame.last, flush=True)
"""


def test_everything_a_killed_writer_acknowledged_is_readable(tmp_path):
    reader = EmbeddedLog(tmp_path)
    followed = []
    for wait_for in (1, 3, 50, 200):
        with subprocess.Popen([sys.executable, "-c", _APPENDER, str(tmp_path)], stdout=subprocess.PIPE) as child:
            for lines, _ in enumerate(child.stdout, start=1):
                followed += reader.read("t", 0, after=followed[-1].last if followed else -1, limit=5_000)
                if lines >= wait_for:
                    os.kill(child.pid, signal.SIGKILL)
                    break
            acknowledged = [int(_), *(int(line) for line in child.stdout.read().split())][-1]
        fresh = everything(EmbeddedLog(tmp_path))
        assert fresh[-1].last >= acknowledged
        assert [f.base for f in fresh[1:]] == [f.last + 1 for f in fresh[:-1]]
        assert all(f.body in {b"", f.body[:9] * (f.at % 300)} for f in fresh)
        while got := reader.read("t", 0, after=followed[-1].last if followed else -1, limit=5_000):
            followed += got
        assert followed == fresh[: len(followed)]
        assert followed[-1].last >= acknowledged


@pytest.mark.parametrize("point", [*POINTS, "log.new_segment:t"])
def test_a_writer_killed_at_a_named_point_leaves_a_log_that_goes_on(tmp_path, point):
    program = """
import os, signal, sys
from pathlib import Path
from customhouse.log.embedded import EmbeddedLog
count = 0
def fault(point):
    global count
    count += point == sys.argv[2]
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
log = EmbeddedLog(Path(sys.argv[1]), segment_bytes=1, fault=fault)
while True:
    print(log.append("t", 0, b"x" * 100, 2, 1).last, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path), point], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == [b"1", b"3"]
    log = EmbeddedLog(tmp_path)
    frames = everything(log)
    # The third frame was not acknowledged: it may be there, whole, or not at all.
    assert [f.base for f in frames] in ([0, 2], [0, 2, 4])
    frames.append(log.append("t", 0, b"on", 1, 2))
    assert frames[-1].base == frames[-2].last + 1
    assert everything(EmbeddedLog(tmp_path)) == frames
    log.close()
