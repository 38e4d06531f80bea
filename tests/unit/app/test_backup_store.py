import fcntl
import os
import stat
from pathlib import Path

import msgspec
import pytest

from customhouse.app.upkeep.backup import destination, manifest, take
from customhouse.app.upkeep.backup.intake import Intake
from customhouse.app.upkeep.backup.manifest import Entry, Manifest
from customhouse.app.upkeep.backup.objects import EMPTY, PIECE, Objects
from customhouse.app.upkeep.backup.restore import restore
from customhouse.app.workspace import Workspace
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.errors import Broken, Misconfigured, Unavailable
from customhouse.model.frames import DoorFrame, encode
from customhouse.state.embedded import EmbeddedState


@pytest.fixture
def place(tmp_path):
    """A small workspace in which something stands in a log and in a state."""
    made = Workspace(tmp_path / "a", tmp_path / "a" / ".data")
    made.prepare()
    log = EmbeddedLog(made.log)
    log.append("received", 0, encode(DoorFrame(1, 1, [], [])), 1, 1)
    log.close()
    state = EmbeddedState(made.state("pipeline"))
    with state.settle() as transaction:
        transaction.put("t", b"k", b"v")
    state.close()
    return made


@pytest.fixture
def backup(tmp_path):
    return tmp_path / "backup"


def other(tmp_path, name="b"):
    return Workspace(tmp_path / name, tmp_path / name / ".data")


def contents(data):
    return {
        p.relative_to(data).as_posix(): p.read_bytes() for p in data.rglob("*") if p.is_file() and "run/" not in str(p)
    }


def test_what_is_restored_is_what_was_there(place, backup, tmp_path):
    taken = take.back_up(place, backup)
    there = other(tmp_path)
    restored = restore(there, backup)
    assert (restored.snapshot, restored.files, restored.bytes) == (taken.snapshot, taken.files, taken.bytes)
    assert there.identity() == place.identity()
    assert there.reference_key() == place.reference_key()
    assert stat.S_IMODE((there.data / "keys" / "reference").stat().st_mode) == 0o600
    for folder in (there.data, there.data / "keys", backup, backup / "objects"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    log = EmbeddedLog(there.log)
    assert log.last("received", 0).last == 0
    assert log.append("received", 0, b"next", 1, 2).base == 1
    log.close()
    state = EmbeddedState(there.state("pipeline"))
    assert state.get("t", b"k") == b"v"
    state.close()
    assert not [path for path in there.data.parent.iterdir() if path != there.data], "no draft is left"


def test_what_grew_behind_the_mark_is_not_taken(place, backup, tmp_path):
    (segment,) = (place.log / "received" / "0").glob("*.seg")
    log = EmbeddedLog(place.log)
    log.append("received", 0, b"durable", 1, 2)
    size = segment.stat().st_size
    with segment.open("ab") as file:  # a frame that is being written
        file.write(b"CHFR torn")
    take.back_up(place, backup)
    log.close()
    there = other(tmp_path)
    restore(there, backup)
    assert (there.log / "received" / "0" / segment.name).stat().st_size == size


def test_the_second_back_up_writes_only_what_is_new(place, backup):
    first = take.back_up(place, backup)
    assert take.back_up(place, backup).copied == 0
    (place.data / "config" / "note").write_text("{}" * 100)
    third = take.back_up(place, backup)
    assert (third.copied, third.files) == (200, first.files + 1)


def test_files_that_never_change_are_not_read_again(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "full.seg").write_bytes(b"x" * 1000)
    objects = Objects(tmp_path / "objects")
    intake = Intake(data, objects, {}, 0, lambda _: None)
    intake.file("full.seg", fixed=True)
    (entry,) = intake.entries.values()
    again = Intake(data, Objects(tmp_path / "objects", {*entry.pieces}), {"full.seg": entry}, 0, lambda _: None)
    (data / "full.seg").write_bytes(b"y" * 1000)  # nobody does so; it shows whether the file is read
    os.utime(data / "full.seg", ns=(entry.modified, entry.modified))
    again.file("full.seg", fixed=True)
    assert again.entries == {"full.seg": entry}
    again.file("full.seg")
    assert again.entries["full.seg"].pieces != entry.pieces, "what may change is read"


def test_a_file_that_went_away_is_missing_and_not_half(tmp_path):
    intake = Intake(tmp_path, Objects(tmp_path / "objects"), {}, 0, lambda _: None)
    intake.file("gone", fixed=True)
    (tmp_path / "short").write_bytes(b"abc")
    intake.file("short", upto=10)
    assert (intake.entries, intake.missing) == ({}, ["gone", "short"])


def test_a_hole_at_the_end_stays_one(place, backup, tmp_path):
    path = place.data / "config" / "wide"
    with path.open("wb") as file:
        file.write(b"a")
        file.truncate(3 * PIECE + 5)
    take.back_up(place, backup)
    entry = next(e for e in manifest.read(backup, manifest.snapshots(backup)[0]).files if e.path == "config/wide")
    assert entry.pieces[1] == entry.pieces[2] == EMPTY
    there = other(tmp_path)
    restore(there, backup)
    assert (there.data / "config" / "wide").read_bytes() == path.read_bytes()


def test_the_record_of_an_import_is_never_ahead_of_the_log(place, backup, tmp_path):
    (place.data / "imports").mkdir()
    record = place.data / "imports" / "abc.json"
    record.write_text('{"format":1,"rows":10}')

    def fault(point):
        if point == "backup.before_states":
            record.write_text('{"format":1,"rows":99}')

    take.back_up(place, backup, fault=fault)
    restore(other(tmp_path), backup)
    assert '"rows":10' in (other(tmp_path).data / "imports" / "abc.json").read_text()


@pytest.mark.parametrize("at", ["before_states", "before_received", "before_bytes", "before_manifest"])
def test_a_back_up_that_is_killed_leaves_no_half_snapshot(place, backup, at, tmp_path):
    class Killed(BaseException):
        pass

    def fault(point):
        if point == f"backup.{at}":
            raise Killed

    with pytest.raises(Killed):
        take.back_up(place, backup, fault=fault)
    assert take.listed(backup) == []
    with pytest.raises(Misconfigured, match="no finished snapshot"):
        restore(other(tmp_path), backup)
    take.back_up(place, backup)
    assert take.verify(backup)[1] == []
    restore(other(tmp_path), backup)


def test_a_piece_that_a_power_cut_emptied_is_written_again(place, backup):
    pieces = {piece for entry in _read(place, backup).files for piece in entry.pieces}
    for name in manifest.snapshots(backup):
        (backup / "snapshots" / f"{name}.json").unlink()  # it was not finished
    for piece in pieces:
        (backup / "objects" / piece[:2] / piece[2:]).write_bytes(b"")
    take.back_up(place, backup)
    assert take.verify(backup)[1] == []


def _read(place, backup):
    return manifest.read(backup, take.back_up(place, backup).snapshot)


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_damaged_piece_is_found_and_never_restored(place, backup, tmp_path, damage):
    piece = _read(place, backup).files[0].pieces[0]
    path = backup / "objects" / piece[:2] / piece[2:]
    path.unlink() if damage == "remove" else path.write_bytes(b"?" + path.read_bytes()[1:])
    _, (problem,) = take.verify(backup)
    assert str(path) in problem.message and problem.hint
    there = other(tmp_path)
    with pytest.raises(Broken, match="damaged"):
        restore(there, backup)
    assert not there.data.exists() and not list(there.root.glob(".data*"))


def test_a_damaged_list_is_found(place, backup):
    name = take.back_up(place, backup).snapshot
    path = backup / "snapshots" / f"{name}.json"
    path.write_bytes(path.read_bytes().replace(b"state/pipeline.db", b"state/pipeline.dc"))
    with pytest.raises(Broken, match="not as it was written"):
        manifest.read(backup, name)
    assert len(take.verify(backup)[1]) == 1
    assert take.back_up(place, backup).files > 0, "the next back-up does without it"


@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", ""])
def test_a_list_cannot_write_outside(backup, path, tmp_path):
    (backup / "snapshots").mkdir(parents=True)
    made = Manifest(
        workspace="w", created_at=1, version="1", data_format=2, config=0, files=[Entry(path, 0, 0o600, 0, [])]
    )
    name = manifest.write(backup, made)
    with pytest.raises(Broken, match="cannot be in a snapshot"):
        manifest.read(backup, name)


def test_newer_formats_are_refused_in_words(place, backup, tmp_path):
    found = _read(place, backup)
    newer = msgspec.structs.replace(found, data_format=9, version="7.0", created_at=found.created_at + 10**6)
    manifest.write(backup, newer)
    with pytest.raises(Misconfigured, match=r"format 9.*\n.*customhouse 7\.0"):
        restore(other(tmp_path), backup)
    name = manifest.write(backup, msgspec.structs.replace(newer, format=9))
    with pytest.raises(Misconfigured, match="format 9"):
        restore(other(tmp_path), backup, name)
    (backup / "backup.json").write_text('{"format": 9}')
    for act in (
        lambda: take.listed(backup),
        lambda: restore(other(tmp_path), backup),
        lambda: take.back_up(place, backup),
    ):
        with pytest.raises(Misconfigured, match="knows format 1"):
            act()


def test_a_restore_takes_only_an_empty_place(place, backup, tmp_path):
    take.back_up(place, backup)
    before = contents(place.data)
    with pytest.raises(Misconfigured, match="not empty"):
        restore(place, backup)
    assert contents(place.data) == before
    there = other(tmp_path)
    (there.data / "run").mkdir(parents=True)
    with (there.data / "run" / "supervisor.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Misconfigured, match="a house runs"):
            restore(there, backup)
    empty = other(tmp_path, "c")
    empty.data.mkdir(parents=True)
    restore(empty, backup)


@pytest.mark.parametrize("where", [".data/backup", ".data", "."])
def test_a_destination_inside_or_around_the_data_is_refused(place, where):
    with pytest.raises(Misconfigured, match="cannot lie inside"):
        take.back_up(place, place.root / where)


def test_a_destination_that_holds_something_else_is_refused(place, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"")
    with pytest.raises(Misconfigured, match="holds something, and no back-up"):
        take.back_up(place, tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.png"]


def test_each_workspace_has_a_destination_of_its_own(place, backup, tmp_path):
    take.back_up(place, backup)
    foreign = other(tmp_path)
    foreign.prepare()
    with pytest.raises(Misconfigured, match="another workspace"):
        take.back_up(foreign, backup)


def test_one_back_up_at_a_time(place, backup):
    take.back_up(place, backup)
    with destination.alone(backup):
        for act in (lambda: take.back_up(place, backup), lambda: take.prune(backup, 1)):
            with pytest.raises(Unavailable, match="another back-up or prune"):
                act()


def test_a_full_disk_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(Unavailable, match="has room for"):
        destination.room_for(tmp_path, 1 << 60)


def test_prune_keeps_what_the_newest_need(place, backup, tmp_path):
    for nth in range(4):
        (place.data / "config" / "turn").write_text(f"turn {nth}")
        take.back_up(place, backup)
    newest = manifest.snapshots(backup)[-2:]
    pruned = take.prune(backup, 2)
    assert (pruned.kept, pruned.snapshots, pruned.objects, pruned.bytes) == (2, 2, 2, 12)
    assert manifest.snapshots(backup) == newest
    assert take.verify(backup)[1] == []
    restore(other(tmp_path), backup, newest[0])
    assert (other(tmp_path).data / "config" / "turn").read_text() == "turn 2"
    with pytest.raises(Misconfigured, match="at least one"):
        take.prune(backup, 0)


def test_what_is_no_back_up_says_so(tmp_path, place, backup):
    for act in (take.listed, take.verify, lambda folder: restore(place, folder)):
        with pytest.raises(Misconfigured, match="no back-up here"):
            act(tmp_path / "nothing")
    take.back_up(place, backup)
    with pytest.raises(Misconfigured, match="holds no snapshot"):
        take.verify(backup, "20200101T000000Z-abc")
    assert Path(backup / "scratch").exists() is False
