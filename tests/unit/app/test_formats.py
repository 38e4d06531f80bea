import os
import sqlite3
import struct
from pathlib import Path

import msgspec
import pytest
from deltalake import DeltaTable

from customhouse.app.upkeep import formats
from customhouse.app.upkeep.formats import KINDS, kind_of, problems, refuse
from customhouse.app.workspace import Accepted, Workspace, accept
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.errors import Misconfigured
from customhouse.model.frames import DoorFrame, ReceiptFrame, encode
from customhouse.state import ids, idtable
from customhouse.state.embedded import EmbeddedState
from customhouse.tables import delta
from customhouse.warehouses.lake import Lake

ROOT = Path(__file__).resolve().parents[3]
NEWER = 77


@pytest.fixture
def place(tmp_path):
    """A data folder with one file of every kind that has a format."""
    made = Workspace(tmp_path, tmp_path / ".data")
    made.prepare()
    accept(
        made, Accepted(number=1, plan_release=1, accepted_at=1, content="", plan_content="", configuration={}, plan={})
    )
    log = EmbeddedLog(made.log)
    log.append("received", 0, encode(DoorFrame(1, 1, [], [])), 1, 1)
    log.append("receipts", 0, encode(ReceiptFrame(1, "lake", 0, 1, 1, [], [], [], [], [])), 1, 1)
    log.close()
    for owner in ("pipeline", "delivery"):
        EmbeddedState(made.state(owner)).close()
    index = ids.MappedIndex.open(made.ids(0), first_bits=4)
    index.checkpoint(0)
    index.close()
    idtable.Table.create(made.ids(0) / "1-0.ids", 1, 4).close()
    (made.data / "state" / "secret").write_text("1 00ff00ff00ff00ff\n")
    Lake(made.lake).close()
    return made


def test_what_this_version_writes_is_known(place):
    assert problems(place) == []
    refuse(place)


def json_of(path):
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | {"format": NEWER}))


def bytes_at(offset):
    return lambda path: os.pwrite(os.open(path, os.O_RDWR), struct.pack("<I", NEWER), offset)


def user_version(path):
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {NEWER}")
    connection.close()


def frame(folder):
    log = EmbeddedLog(folder.parents[1])
    log.append(folder.parent.name, 0, msgspec.msgpack.encode([NEWER, 1, [], []]), 1, 2)
    log.close()


BUMPS = {
    "format": lambda path: path.write_text(f"{NEWER}\ncustomhouse 9.9\n"),
    "identity.json": json_of,
    "config/00001.json": json_of,
    "log/received/0/00000000000000000000.seg": bytes_at(12),
    "log/received/0": frame,
    "log/receipts/0": frame,
    "log/receipts/0/durable": bytes_at(512 + 8),
    "state/pipeline.db": user_version,
    "state/delivery.db": user_version,
    "state/ids/0/checkpoint.json": json_of,
    "state/ids/0/1-0.ids": bytes_at(8),
    "state/secret": lambda path: path.write_text(f"{NEWER} 00ff\n"),
}


@pytest.mark.parametrize("path", BUMPS)
def test_a_newer_file_of_any_kind_is_refused_with_the_next_step(place, path):
    BUMPS[path](place.data / path)
    with pytest.raises(Misconfigured) as caught:
        refuse(place)
    (problem,) = caught.value.problems
    assert problem.place == str(place.data / path)
    assert str(NEWER) in problem.message and "this version knows format" in problem.message
    assert problem.hint.startswith("use ")
    assert problem in problems(place) or path == "format"


def test_a_newer_table_of_the_lake_is_refused_by_who_opens_it(place):
    log = place.lake / "events" / "_delta_log" / f"{0:020d}.json"
    text = log.read_text()
    assert '"customhouse.format":"1"' in text
    log.write_text(text.replace('"customhouse.format":"1"', f'"customhouse.format":"{NEWER}"'))
    assert DeltaTable(place.lake / "events").metadata().configuration["customhouse.format"] == str(NEWER)
    with pytest.raises(Misconfigured, match=f"format {NEWER}"):
        Lake(place.lake)
    (problem,) = problems(place)
    assert str(NEWER) in problem.message and problem.hint


def test_every_newer_file_is_told_at_once(place):
    for path in ("identity.json", "state/pipeline.db", "state/secret"):
        BUMPS[path](place.data / path)
    with pytest.raises(Misconfigured) as caught:
        refuse(place)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("path", "content"),
    [("identity.json", b"{"), ("state/secret", b"x y"), ("state/delivery.db", b"no database" * 100), ("config/00001.json", b"[]"),
     ("state/ids/0/1-0.ids", b"abc")],
)  # fmt: skip
def test_a_file_that_says_no_format_is_for_doctor_to_tell(place, path, content):
    (place.data / path).write_bytes(content)
    (problem,) = problems(place)
    assert problem.place == str(place.data / path)
    assert "cannot be read" in problem.message and problem.hint
    refuse(place)  # whoever reads the file says what is wrong with it


def test_an_empty_data_folder_has_no_problems(tmp_path):
    assert problems(Workspace(tmp_path, tmp_path / ".data")) == []


def test_the_table_says_what_the_readers_know():
    known = {kind.name: kind.version for kind in KINDS}
    assert known["checkpoint of the index of ids"] == ids.FORMAT
    assert known["table of the index of ids"] == idtable.FORMAT
    assert str(known["table of the lake"]) == delta.FORMAT
    assert delta.FORMAT_KEY in next(kind for kind in KINDS if kind.name == "table of the lake").stands


@pytest.mark.parametrize(
    "path", ["log/received/0/00000000000000000000.seg", "state/pipeline.db-wal", "lake/trail/day=2026-01-01/ab.parquet",
             "lake/events/_delta_log/_last_checkpoint", "run/lanes.json", "run/pipeline.lock", "config/00003.json"]
)  # fmt: skip
def test_a_path_has_one_kind(path):
    assert kind_of(path) is not None


@pytest.mark.parametrize("path", ["log/other", "state/more.txt", "new/thing", "config/deep/1.json"])
def test_a_path_nobody_knows_has_none(path):
    assert kind_of(path) is None


def test_what_nobody_knows_is_backed_up_as_it_is():
    assert not formats.left_out("new/thing")
    assert not formats.left_out("keys/reference")
    for path in (
        "run/x",
        "log/received/0/durable",
        "state/pipeline.db-wal",
        "jobs/pipeline/1.job",
        "config/1.json.partial",
    ):
        assert formats.left_out(path), path


def test_the_page_of_formats_is_the_table():
    page = (ROOT / "docs" / "operations" / "formats.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert rows == [formats.row(kind) for kind in KINDS], "put into the page what `formats.row` returns"
