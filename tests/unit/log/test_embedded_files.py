"""The files themselves: borders, locks, formats, damage, retention."""

import multiprocessing
import os
import resource
import struct

import pytest

from customhouse.log import segment as segments
from customhouse.log.embedded import EmbeddedLog
from customhouse.log.segment import FILE_HEADER, FRAME_HEADER, Damaged
from customhouse.model.errors import Broken, Unavailable

PLENTY = 1 << 30
HOUR = 3_600_000_000


def everything(log):
    return log.read("t", 0, after=-1, limit=PLENTY)


def part(folder):
    return folder / "t" / "0"


def names(folder):
    return sorted(path.name for path in part(folder).glob("*.seg"))


def flip(path, offset):
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 0x01
    path.write_bytes(raw)


def _write(folder, frames):
    log = EmbeddedLog(folder, segment_bytes=3_000)
    for n in range(frames):
        log.append("t", 0, b"%d" % n * (n % 200), 3, n)
    log.close()


def test_a_reader_process_follows_a_live_writer_over_segment_borders(tmp_path):
    child = multiprocessing.get_context("spawn").Process(target=_write, args=(tmp_path, 400))
    child.start()
    reader, seen = EmbeddedLog(tmp_path), []
    while len(seen) < 400:
        alive = child.is_alive()
        got = reader.read("t", 0, after=seen[-1].last if seen else -1, limit=2_000)
        seen += got
        assert got or alive, "the writer ended and frames are missing"
    child.join()
    assert [f.base for f in seen] == [3 * n for n in range(400)]
    assert [f.body for f in seen] == [b"%d" % n * (n % 200) for n in range(400)]
    assert len(names(tmp_path)) > 10


def test_segments_are_named_by_their_first_position_and_bounded_in_size(tmp_path):
    log = EmbeddedLog(tmp_path, segment_bytes=1_000)
    for n in range(10):
        log.append("t", 0, b"x" * 300, 5, n)
    log.append("t", 0, b"x" * 5_000, 5, 10)
    log.append("t", 0, b"x", 5, 11)
    log.close()
    assert names(tmp_path) == [f"{base:020}.seg" for base in (0, 10, 20, 30, 40, 50, 55)]
    sizes = [path.stat().st_size for path in sorted(part(tmp_path).glob("*.seg"))]
    assert all(size <= 1_000 for size in sizes[:5])
    assert sizes[5] == FILE_HEADER + FRAME_HEADER + 5_000


def test_a_restarted_writer_goes_on_in_the_same_segment(tmp_path):
    for n in range(3):
        log = EmbeddedLog(tmp_path)
        assert log.append("t", 0, b"x", 1, n).base == n
        log.close()
    assert len(names(tmp_path)) == 1


def test_a_segment_spans_a_bounded_time_so_that_a_quiet_log_ages(tmp_path):
    log = EmbeddedLog(tmp_path, segment_span=HOUR)
    for n in range(6):
        log.append("t", 0, b"x", 1, n * HOUR // 2)
    assert names(tmp_path) == [f"{base:020}.seg" for base in (0, 2, 4)]
    log.close()


def test_a_second_writer_is_turned_away_by_name_and_may_come_later(tmp_path):
    first, second = EmbeddedLog(tmp_path), EmbeddedLog(tmp_path)
    first.append("t", 0, b"x", 1, 1)
    with pytest.raises(Unavailable, match=r"writer\.lock"):
        second.append("t", 0, b"y", 1, 1)
    second.append("t", 1, b"y", 1, 1)
    first.close()
    assert second.append("t", 0, b"y", 1, 1).base == 1
    second.close()


def test_a_poll_that_finds_nothing_opens_nothing(tmp_path):
    log, reader = EmbeddedLog(tmp_path), EmbeddedLog(tmp_path)
    for n in range(5):
        log.append("t", 0, b"x", 1, n)
    after = everything(reader)[-1].last
    reader.last("t", 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert reader.read("t", 0, after=after, limit=PLENTY) == []
        assert reader.last("t", 0).last == after
        new = log.append("t", 0, b"y", 1, 9)
        assert reader.read("t", 0, after=after, limit=PLENTY) == [new]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    log.close()


@pytest.mark.parametrize("where", ["magic", "base", "length", "body"])
@pytest.mark.parametrize("segment_bytes", [1 << 20, 1])
def test_damage_in_the_middle_is_named_and_can_be_passed(tmp_path, where, segment_bytes):
    log = EmbeddedLog(tmp_path, segment_bytes=segment_bytes)
    frames = [log.append("t", 0, b"x" * 100, 4, n) for n in range(6)]
    log.close()
    in_frame = {"magic": 0, "length": 12, "base": 28, "body": FRAME_HEADER + 50}[where]
    path, offset = part(tmp_path) / f"{0:020}.seg", FILE_HEADER + 3 * (FRAME_HEADER + 100)
    if segment_bytes == 1:
        path, offset = part(tmp_path) / f"{12:020}.seg", FILE_HEADER
    flip(path, offset + in_frame)
    for reader in (EmbeddedLog(tmp_path), EmbeddedLog(tmp_path)):
        assert everything(reader) == frames[:3]
        with pytest.raises(Damaged, match=f"{path.name} is damaged at byte {offset}: positions 12 to 15") as caught:
            reader.read("t", 0, after=11, limit=PLENTY)
        assert isinstance(caught.value, Broken)
        assert reader.read("t", 0, after=caught.value.resume, limit=PLENTY) == frames[4:]
    writer = EmbeddedLog(tmp_path, segment_bytes=segment_bytes)
    frames.append(writer.append("t", 0, b"goes on", 1, 9))
    assert frames[-1].base == 24
    assert writer.read("t", 0, after=15, limit=PLENTY) == frames[4:]
    writer.close()


def test_damage_in_the_middle_is_not_taken_for_a_torn_tail_after_a_power_cut(tmp_path):
    log = EmbeddedLog(tmp_path)
    frames = [log.append("t", 0, b"x" * 100, 4, n) for n in range(6)]
    log.close()
    flip(part(tmp_path) / names(tmp_path)[0], FILE_HEADER + 2 * (FRAME_HEADER + 100) + FRAME_HEADER)
    (part(tmp_path) / "durable").unlink()
    log = EmbeddedLog(tmp_path)
    frames.append(log.append("t", 0, b"goes on", 1, 9))
    assert frames[-1].base == 24
    assert everything(log) == frames[:2]
    with pytest.raises(Damaged) as caught:
        log.read("t", 0, after=7, limit=PLENTY)
    assert log.read("t", 0, after=caught.value.resume, limit=PLENTY) == frames[3:]
    log.close()


def test_damage_in_the_newest_frame_is_named(tmp_path):
    log = EmbeddedLog(tmp_path)
    frames = [log.append("t", 0, b"x" * 100, 4, n) for n in range(3)]
    log.close()
    flip(part(tmp_path) / names(tmp_path)[0], FILE_HEADER + 3 * (FRAME_HEADER + 100) - 1)
    reader = EmbeddedLog(tmp_path)
    assert everything(reader) == frames[:2]
    with pytest.raises(Damaged) as caught:
        reader.last("t", 0)
    assert caught.value.resume == 11
    assert reader.read("t", 0, after=11, limit=PLENTY) == []


def test_a_body_that_looks_like_a_frame_is_not_taken_for_one(tmp_path):
    log, other = EmbeddedLog(tmp_path), EmbeddedLog(tmp_path / "other")
    for n in range(2):
        log.append("t", 0, b"a", 1, n)
    # A whole frame, with the position that is expected behind the torn one.
    forged = (part(tmp_path) / names(tmp_path)[0]).read_bytes()[FILE_HEADER + FRAME_HEADER + 1 :]
    frames = [other.append("t", 0, b"b", 1, 0), other.append("t", 0, forged * 3, 1, 1)]
    other.close()
    log.close()
    path = part(tmp_path / "other") / names(tmp_path / "other")[0]
    (part(tmp_path / "other") / "durable").unlink()
    os.truncate(path, path.stat().st_size - 1)
    reader = EmbeddedLog(tmp_path / "other")
    assert everything(reader) == frames[:1]
    assert reader.last("t", 0) == frames[0]


@pytest.mark.parametrize("fresh_mark", [True, False])
def test_a_format_of_another_release_is_refused_in_words(tmp_path, fresh_mark):
    log = EmbeddedLog(tmp_path)
    log.append("t", 0, b"x", 1, 1)
    log.close()
    path = part(tmp_path) / names(tmp_path)[0]
    raw = bytearray(path.read_bytes())
    struct.pack_into("<I", raw, 12, 9)
    path.write_bytes(raw)
    if not fresh_mark:
        (part(tmp_path) / "durable").unlink()
    log = EmbeddedLog(tmp_path)
    for use in (lambda: everything(log), lambda: log.last("t", 0), lambda: log.append("t", 0, b"y", 1, 2)):
        with pytest.raises(Broken, match="format version 9; this release knows 1"):
            use()
    assert path.read_bytes() == raw


def test_a_frame_of_another_release_is_refused_in_words(tmp_path, monkeypatch):
    log = EmbeddedLog(tmp_path)
    frame = log.append("t", 0, b"x", 1, 1)
    monkeypatch.setattr(segments, "FORMAT", 9)
    log.append("t", 0, b"y", 1, 2)
    monkeypatch.undo()
    assert log.read("t", 0, after=-1, limit=1) == [frame]
    with pytest.raises(Broken, match="format version 9; this release knows 1"):
        log.read("t", 0, after=0, limit=1)
    log.close()


def test_a_file_that_is_no_segment_is_refused_and_left_alone(tmp_path):
    log = EmbeddedLog(tmp_path)
    log.append("t", 0, b"x", 1, 1)
    log.close()
    stranger = part(tmp_path) / f"{1:020}.seg"
    stranger.write_bytes(b"something else entirely, and long enough to hold data")
    with pytest.raises(Broken, match="not a segment"):
        EmbeddedLog(tmp_path).append("t", 0, b"y", 1, 2)
    assert stranger.exists()


def test_retention_by_age_removes_whole_segments_that_are_old_to_the_last_frame(tmp_path):
    log = EmbeddedLog(tmp_path, segment_bytes=1_000)
    for n in range(9):
        log.append("t", 0, b"x" * 250, 2, n)
    before = names(tmp_path)
    removed = log.retain("t", 0, floor=PLENTY, before=5, size=PLENTY)
    assert [(r.first, r.last, r.records) for r in removed] == [(0, 5, 6)]
    assert names(tmp_path) == before[1:]
    assert log.retain("t", 0, floor=PLENTY, before=5, size=PLENTY) == []
    assert [(r.first, r.last) for r in log.retain("t", 0, floor=PLENTY, before=6, size=PLENTY)] == [(6, 11)]
    log.close()


def test_retention_by_size_removes_no_more_than_it_must(tmp_path):
    log = EmbeddedLog(tmp_path, segment_bytes=1)
    for n in range(10):
        log.append("t", 0, b"x" * 1_000, 2, n)
    size = FILE_HEADER + FRAME_HEADER + 1_000
    removed = log.retain("t", 0, floor=PLENTY, before=-1, size=4 * size)
    assert [r.size for r in removed] == [size] * 6
    assert everything(log)[0].base == 12
    log.close()


def test_retention_is_seen_by_readers_that_hold_the_old_files_open(tmp_path):
    log = EmbeddedLog(tmp_path, segment_bytes=1)
    frames = [log.append("t", 0, b"x", 2, n) for n in range(10)]
    reader = EmbeddedLog(tmp_path)
    assert reader.read("t", 0, after=-1, limit=1) == frames[:1]
    log.retain("t", 0, floor=PLENTY, before=8, size=PLENTY)
    assert reader.read("t", 0, after=-1, limit=PLENTY) == frames[8:]
    assert reader.read("t", 0, after=1, limit=PLENTY)[-2:] == frames[8:]
    log.close()


def test_a_folder_one_may_only_read_can_be_read(tmp_path):
    log = EmbeddedLog(tmp_path)
    frame = log.append("t", 0, b"x", 1, 1)
    log.close()
    for path in part(tmp_path).iterdir():
        path.chmod(0o444)
    part(tmp_path).chmod(0o555)
    try:
        assert everything(EmbeddedLog(tmp_path)) == [frame]
    finally:
        part(tmp_path).chmod(0o755)


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "t").write_text("in the way")
    log = EmbeddedLog(tmp_path)
    with pytest.raises(Unavailable, match="opened for writing"):
        log.append("t", 0, b"x", 1, 1)
