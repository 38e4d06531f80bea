"""
Recorded traffic of the official SDKs, browsers included, replayed as it was sent: preflights, settings, beacons, gzip.

The recordings lie beside the repository and are optional; without them these tests skip and say so.
"""

import base64
import gzip
import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from house import House
from knock import request

from customhouse.model.reasons import REASONS

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "wire"
FAMILIES = ("segment", "rudder", "analytics-node-")
PAGE = "http://127.0.0.1:9101"


def recordings():
    """Return the files of both families."""
    return [path for path in sorted(VECTORS.glob("*.jsonl")) if path.name.startswith(FAMILIES)]


pytestmark = pytest.mark.skipif(not recordings(), reason=f"there are no recordings in {VECTORS}")


def requests():
    """Return every recorded request of both families."""
    lines = [line for path in recordings() for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def headers(record):
    kept = {name: value for name, value in record["headers"] if name.lower() not in ("host", "content-length")}
    return kept | {"Connection": "close"}


def body(record):
    raw = base64.b64decode(record["body_base64"] or "")
    return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw


def events(record):
    """Return the events of a recorded request as the SDK meant them."""
    text = body(record)
    if record["method"] != "POST":
        return []
    document = json.loads(text)
    return document.get("batch", [document])


def keys():
    """Return every write key that the recordings use."""
    found = set()
    for record in requests():
        given = {name.lower(): value for name, value in record["headers"]}
        if given.get("authorization", "").startswith("Basic "):
            found.add(base64.b64decode(given["authorization"][6:]).decode().partition(":")[0])
        found.update(parse_qs(record["query"]).get("writeKey", []))
    return sorted(found)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    sources = {f"recorded-{number}": {"write_key": key} for number, key in enumerate(keys())}
    with House(tmp_path_factory.mktemp("wire") / "house", sources=sources) as running:
        yield running


def replay(house, record):
    """Send one request as it was recorded and check what its SDK checks of the answer."""
    target = record["path"] + (f"?{record['query']}" if record["query"] else "")
    raw = base64.b64decode(record["body_base64"] or "") or None
    answer = request(house.url, record["method"], target, raw, headers(record))
    assert answer.status == 200, (record["sdk"], record["note"], target, answer)
    origin = dict(record["headers"]).get("Origin")
    if origin:
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
    if record["method"] == "OPTIONS":
        asked = dict(record["headers"]).get("Access-Control-Request-Headers", "")
        allowed = answer.headers["access-control-allow-headers"].replace(" ", "").lower().split(",")
        assert set(asked.replace(" ", "").lower().split(",")) <= {*allowed, ""}
        assert "POST" in answer.headers["access-control-allow-methods"]
    elif record["path"].endswith("/settings"):
        assert answer.json()["integrations"]["Segment.io"]["apiKey"]
    elif record["path"].startswith("/sourceConfig"):
        assert answer.json()["source"]["enabled"] is True
    return answer


def test_every_recorded_request_is_taken_and_every_event_accounted_for(house):
    records = requests()
    sent = [event for record in records for event in events(record)]
    for record in records:
        replay(house, record)
    books = house.settled(acknowledged=len(sent))
    assert (books["acknowledged"], books["unaccounted"]) == (len(sent), 0)

    ids = [event["messageId"] for event in sent]
    stored = {row["message_id"]: row for row in house.sql("select * from events")}
    held = {entry["message_id"]: entry for entry in house.cli_json("quarantine", "list", "--limit", "1000")}
    assert {entry["reason"] for entry in held.values()} <= set(REASONS)
    assert set(ids) <= {*stored, *held}
    duplicates = books["accounts"].get("dropped:duplicate", 0)
    assert len(stored) + len(held) + duplicates == len(sent)
    first = {event["messageId"]: event for event in reversed(sent)}  # drivers used some ids twice; the first owns one
    for message_id, event in first.items():
        if message_id not in stored:
            continue
        row = stored[message_id]
        assert row["user_id"] == (event.get("userId") or None)
        assert row["event"] == (event.get("event") or event.get("name") or row["event"])
        assert row["group_id"] in (event.get("groupId"), (event.get("context") or {}).get("groupId"))
        assert row["previous_id"] == event.get("previousId")
        if isinstance(event.get("properties"), dict) and "json_repaired" not in row["flags"]:
            assert json.loads(row["properties"]) == event["properties"]

    before = len(stored)
    for record in records:
        replay(house, record)
    books = house.settled(acknowledged=2 * len(sent))
    assert books["accounts"]["dropped:duplicate"] == duplicates + len(sent) - len(held)
    assert house.sql("select count(*) as n from events") == [{"n": before}]
    assert books["unaccounted"] == 0
