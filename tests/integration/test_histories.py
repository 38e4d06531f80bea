"""
Workspaces as older versions left them, opened by this one: brought up, balanced as recorded, and worked on.

Each folder of `tests/histories` was written by a real house of its time, and is never written again.
"""

import contextlib
import json
import shutil
import sqlite3
import tarfile
from pathlib import Path

import pytest
from house import House
from knock import send

from customhouse.app.upkeep.formats import kind_of, problems
from customhouse.app.upkeep.migrations import FORMAT, read_mark
from customhouse.app.workspace import Workspace

HISTORIES = Path(__file__).resolve().parents[1] / "histories"


def opened(name: str, folder: Path) -> House:
    """Return a house on a copy of a history."""
    history = HISTORIES / name
    shutil.copytree(history / "plan", folder / "plan")
    shutil.copy(history / "customhouse.yaml", folder)
    with tarfile.open(history / "data.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return House.at(folder)


def test_format_1_is_brought_up_and_goes_on(tmp_path):
    recorded = json.loads((HISTORIES / "format-1" / "balance.json").read_text())
    house = opened("format-1", tmp_path / "house")
    place = Workspace(house.folder, house.data)
    assert read_mark(house.data).format == 1
    before = house.balance()  # a window of today reads the books before anybody has brought the folder up
    assert before["accounts"] == recorded["accounts"]
    unready = house.cli("backup", str(tmp_path / "backup"))
    assert unready.returncode == 2 and "start `customhouse run` once" in unready.stderr

    with house.start(CUSTOMHOUSE_LOG_LEVEL="info"):
        assert "upkeep.migrated" in house.log()
        assert read_mark(house.data).format == FORMAT
        assert len(place.reference_key()) == 32 and place.identity().workspace
        books = house.settled(acknowledged=21)
        for part in ("accounts", "acknowledged", "unaccounted"):
            assert books[part] == recorded[part], part
        (story,) = house.cli_json("trace", "order-7")
        assert story["state"] == "delivered"
        (held,) = house.cli_json("quarantine", "list")
        assert (held["message_id"], held["reason"]) == ("bad-1", "schema_violation")
        for nth in range(5):
            event = {"event": "Order Completed", "userId": "u-1", "properties": {"total": 1}, "messageId": f"new-{nth}"}
            assert send(house.url, event).status == 200
        books = house.settled(acknowledged=26)
        assert (books["unaccounted"], books["accounts"]["delivered:lake"]) == (0, 24)
        assert house.sql("select count(*) as n, count(distinct message_id) as ids from events") == [
            {"n": 24, "ids": 24}
        ]
        house.cli_json("backup", str(tmp_path / "backup"))
    again = House(tmp_path / "again")
    house_files = again.cli("restore", str(tmp_path / "backup"))
    assert house_files.returncode == 0, house_files.stderr
    assert again.balance()["accounts"] == books["accounts"]


def test_every_file_of_a_running_house_is_in_the_table_of_formats(house):
    for nth in range(3):
        assert send(house.url, {"event": "E", "userId": "u", "messageId": f"m-{nth}"}).status == 200
    house.settled(acknowledged=3)
    assert house.cli("reload").returncode == 0
    paths = [path.relative_to(house.data).as_posix() for path in house.data.rglob("*") if path.is_file()]
    assert len(paths) > 20
    assert [path for path in paths if kind_of(path) is None] == []
    assert problems(Workspace(house.folder, house.data)) == []


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A house that has run, and is closed."""
    with House(tmp_path_factory.mktemp("closed") / "house") as house:
        assert send(house.url, {"event": "E", "userId": "u"}).status == 200
        house.settled(acknowledged=1)
    return house


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("format", lambda text: b"9\ncustomhouse 8.0\n"),
        ("identity.json", lambda text: text.replace(b'"format": 1', b'"format": 9')),
        ("config/00001.json", lambda text: text.replace(b'"format": 1', b'"format": 9')),
        ("log/owed/0/00000000000000000000.seg", lambda text: text[:12] + (9).to_bytes(4, "little") + text[16:]),
    ],
)
def test_a_downgrade_is_refused_in_words(closed, name, change):
    path = closed.data / name
    before = path.read_bytes()
    path.write_bytes(change(before))
    try:
        assert_refused(closed, path)
    finally:
        path.write_bytes(before)


def test_a_newer_state_is_refused_in_words(closed):
    path = closed.data / "state" / "pipeline.db"
    for version in (9, 1):
        with contextlib.closing(sqlite3.connect(path)) as state:
            state.execute(f"PRAGMA user_version = {version}")
        if version > 1:
            assert_refused(closed, path)
    assert closed.balance()["unaccounted"] == 0


def assert_refused(house, path):
    for verb in (("run", "--port", "0", "--console-port", "0"), ("balance",)):
        done = house.cli(*verb, timeout=20)
        assert done.returncode == 2, (verb, done.stdout, done.stderr)
        assert str(path) in done.stderr and "9" in done.stderr and "this version knows format" in done.stderr
        assert "→ use " in done.stderr and "Traceback" not in done.stderr
