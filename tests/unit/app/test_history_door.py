"""The import's way to the door: real sockets, and a server that is busy, cuts the line, or says no."""

import json
import os
import time

import msgspec
import pytest
from lying import LyingServer

from customhouse.app.process import Announcement
from customhouse.app.upkeep.history.door import Door
from customhouse.app.workspace import Workspace
from customhouse.model.errors import Misconfigured, Unavailable
from customhouse.model.secret import Secret

BODY = b'{"batch":[{"event":"E"}]}'


@pytest.fixture
def server():
    with LyingServer() as running:
        yield running


@pytest.fixture
def make(tmp_path, server):
    place = Workspace(tmp_path, tmp_path / ".data")
    place.run.mkdir(parents=True)
    said = Announcement(kind="collector", pid=os.getpid(), config=1, ready_at=time.time(), port=server.port)
    (place.run / "collector.json").write_bytes(msgspec.json.encode(said))
    made = []

    def door(*, patience=20.0, host="0.0.0.0"):
        waits = []
        made.append(Door(place, host, Secret("key-of-the-source"), patience=patience, waiting=waits.append))
        return made[-1], waits

    yield door
    for each in made:
        each.close()


def test_a_batch_goes_to_the_import_route_under_the_sources_key(server, make):
    door, _ = make()
    door.send(BODY)
    door.send(BODY)
    first, second = server.requests()
    assert (first.path, first.body, second.body) == ("/v1/import", BODY, BODY)
    assert first.headers["authorization"] == "Basic a2V5LW9mLXRoZS1zb3VyY2U6"
    assert json.loads(first.body)["batch"] == [{"event": "E"}]


def test_a_busy_or_broken_door_gets_the_same_batch_again(server, make):
    server.then("503", "reset", "500")
    door, waits = make()
    door.send(BODY)
    assert [each.answer for each in server.requests()] == ["503", "reset", "500", "ok"]
    assert {each.body for each in server.requests()} == {BODY}
    assert len(waits) == 3
    assert "503" in waits[0]


def test_retry_after_is_believed_and_patience_ends(server, make):
    server.mode, server.retry_after = "429", 30
    door, waits = make(patience=10.0)
    with pytest.raises(Unavailable, match="goes on where it stopped"):
        door.send(BODY)
    assert waits == [], "half a minute is longer than patience has"
    assert len(server.requests()) == 1


def test_what_will_never_be_taken_is_said_at_once(server, make):
    server.mode = "401"
    door, waits = make()
    with pytest.raises(Misconfigured, match="401") as refused:
        door.send(BODY)
    assert waits == []
    assert "key-of-the-source" not in str(refused.value) + repr(refused.value.problems)


def test_a_closed_house_is_waited_for_as_long_as_patience_has(tmp_path):
    place = Workspace(tmp_path, tmp_path / ".data")
    waits = []
    door = Door(place, "127.0.0.1", Secret("k"), patience=0.25, waiting=waits.append)
    with pytest.raises(Unavailable, match="customhouse run"):
        door.send(BODY)
    assert waits == ["the house is closed; start it with `customhouse run`"]
