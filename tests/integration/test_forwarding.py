"""Copies to others: signed batches to a webhook, and Segment's own shape to a second customhouse."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from house import KEY, House
from knock import request, send
from lying import LyingServer

SECRET = "webhook-secret"  # a fixed secret of this test


@pytest.fixture
def hook():
    with LyingServer() as server:
        yield server


def batch(count, start=0):
    events = [
        {
            "type": "track",
            "event": "Item Seen",
            "userId": f"u-{number % 3}",
            "messageId": f"m-{number}",
            "properties": {"number": number},
        }
        for number in range(start, start + count)
    ]
    return {"batch": events}


def webhook(url, folder, **more):
    (folder / "hook.secret").write_text(SECRET + "\n")
    config = {"type": "webhook", "url": url, "secret": f"file:{folder / 'hook.secret'}", "linger_seconds": 0.05}
    patience = {"retry_base_seconds": 0.05, "retry_cap_seconds": 0.5, "breaker_seconds": 0.2}
    return config | patience | more


def test_a_webhook_gets_signed_batches_through_all_its_moods(hook, tmp_path):
    destinations = {"lake": {"type": "lake", "flush_seconds": 0.2}, "hook": webhook(f"{hook.url}/in", tmp_path)}
    hook.then("500", "429", "lie", "reset")
    with House(tmp_path / "house", destinations=destinations, routes=[{"to": ["lake", "hook"]}]) as house:
        trace_id = "0af7651916cd43dd8448eb211c80319c"
        answer = send(house.url, batch(30), "/v1/batch", traceparent=f"00-{trace_id}-b7ad6b7169203331-01")
        assert answer.status == 200
        books = house.settled(acknowledged=30)
        assert (books["accounts"]["delivered:hook"], books["accounts"]["delivered:lake"]) == (30, 30)

        got = hook.events()
        assert sorted(event["properties"]["number"] for event in got) == list(range(30))
        for person in ("u-0", "u-1", "u-2"):
            numbers = [event["properties"]["number"] for event in got if event["user_id"] == person]
            assert numbers == sorted(numbers), "order per key holds through retries"
        keys = [taken.headers["idempotency-key"] for taken in hook.requests()]
        assert len(set(keys)) < len(keys), "a retry keeps its idempotency key"
        for taken in hook.requests():
            said = dict(part.split("=", 1) for part in taken.headers["x-customhouse-signature"].split(","))
            expected = hmac.new(SECRET.encode(), said["t"].encode() + b"." + taken.body, hashlib.sha256).hexdigest()
            assert (taken.path, said["v1"]) == ("/in", expected)
            assert taken.headers["traceparent"].split("-")[1] == trace_id

        (story,) = house.cli_json("trace", "m-7")
        assert {"lake", "hook"} <= {step["station"] for step in story["steps"]}
        assert SECRET not in house.log()


def test_a_refused_event_waits_in_quarantine_and_can_be_replayed(hook, tmp_path):
    hook.mode = "400"
    destinations = {"lake": {"type": "lake", "flush_seconds": 0.2}, "hook": webhook(hook.url, tmp_path)}
    with House(tmp_path / "house", destinations=destinations, routes=[{"to": ["lake", "hook"]}]) as house:
        send(house.url, batch(3), "/v1/batch")
        books = house.settled(acknowledged=3)
        assert (books["accounts"]["rejected:hook"], books["accounts"]["delivered:lake"]) == (3, 3)
        held = house.cli_json("quarantine", "list", "--destination", "hook")
        assert {(e["reason"], e["destination"]) for e in held} == {("destination_refused", "hook")}
        hook.mode = "ok"
        assert house.cli_json("quarantine", "replay", "--all", "--destination", "hook")["replayed"] == 3
        books = house.settled()
        assert (books["accounts"]["delivered:hook"], books["unaccounted"]) == (3, 0)
        assert len(hook.events()) == 3
        assert house.sql("select count(*) as n from events") == [{"n": 3}], "the lake got nothing twice"


def test_refused_credentials_park_the_lane_and_burn_nothing(hook, tmp_path):
    hook.mode = "401"
    destinations = {"lake": {"type": "lake", "flush_seconds": 0.2}, "hook": webhook(hook.url, tmp_path)}
    with House(tmp_path / "house", destinations=destinations, routes=[{"to": ["lake", "hook"]}]) as house:
        send(house.url, batch(5), "/v1/batch")
        house.wait_until(hook.requests, 20, "the webhook is tried")
        books = house.settled(acknowledged=5, ignore=("owed:hook",))
        assert (books["in_flight"]["owed:hook"], books["accounts"]["delivered:lake"]) == (5, 5)
        assert "rejected:hook" not in books["accounts"] and books["unaccounted"] == 0
        tried = len(hook.requests())
        send(house.url, batch(5, start=5), "/v1/batch")
        house.settled(acknowledged=10, ignore=("owed:hook",))
        assert len(hook.requests()) <= tried + 1, "a parked lane does not knock again and again"
        hook.mode = "ok"
        house.write(name="mended")
        house.cli_json("reload")
        assert house.settled()["accounts"]["delivered:hook"] == 10


def test_in_front_of_what_is_there(tmp_path):
    """Segment's shape, forwarded to a second customhouse: what arrives there is what was sent here."""
    behind = House(tmp_path / "behind", sources={"forwarded": {"write_key": "behind-key"}})
    with behind:
        (tmp_path / "behind.key").write_text("behind-key\n")
        forward = {
            "type": "webhook", "format": "segment", "url": behind.url, "write_key": f"file:{tmp_path / 'behind.key'}",
            "linger_seconds": 0.05,
        }  # fmt: skip
        destinations = {"lake": {"type": "lake", "flush_seconds": 0.2}, "old": forward}
        with House(tmp_path / "front", destinations=destinations, routes=[{"to": ["lake", "old"]}]) as front:
            sent = [
                {"type": "track", "event": "Seen", "userId": "u", "messageId": "t", "properties": {"a": 1.5}},
                {"type": "identify", "userId": "u", "anonymousId": "x", "messageId": "i", "traits": {"plan": "pro"}},
                {"type": "page", "name": "Home", "category": "Shop", "anonymousId": "x", "messageId": "p"},
                {"type": "screen", "name": "Main", "anonymousId": "x", "messageId": "s"},
                {"type": "group", "groupId": "g", "userId": "u", "messageId": "g", "traits": {"size": 3}},
                {"type": "alias", "previousId": "x", "userId": "u", "messageId": "a"},
            ]
            shared = {"timestamp": "2026-01-02T03:04:05.678Z", "context": {"library": {"name": "curl", "version": "8"}}}
            answer = send(front.url, {"batch": [event | shared for event in sent]}, "/v1/batch")
            assert answer.status == 200
            assert front.settled(acknowledged=6)["accounts"]["delivered:old"] == 6
            behind.settled(acknowledged=6)
            columns = (
                "message_id, type, event, category, user_id, anonymous_id, group_id, previous_id, original_at, "
                "properties, traits, context"
            )
            here, there = (house.sql(f"select {columns} from events order by 1") for house in (front, behind))
            assert [row["message_id"] for row in here] == ["a", "g", "i", "p", "s", "t"]
            for row, copy in zip(here, there, strict=True):
                for name in ("properties", "traits", "context"):
                    row[name], copy[name] = json.loads(row[name]), json.loads(copy[name])
                assert row == copy

            ahead = datetime.now(UTC) + timedelta(hours=1)  # a client's clock, corrected here and not once more there
            times = {"timestamp": (ahead - timedelta(minutes=9)).isoformat(), "sentAt": ahead.isoformat()}
            send(front.url, {"event": "Skewed", "userId": "u", "messageId": "skewed"} | times)
            front.settled(acknowledged=7)
            behind.settled(acknowledged=7)
            query = "select occurred_at from events where message_id = 'skewed'"
            happened = [datetime.fromisoformat(house.sql(query)[0]["occurred_at"]) for house in (front, behind)]
            assert all(abs(at - (ahead - timedelta(minutes=69))) < timedelta(minutes=3) for at in happened), happened

            (story,) = front.cli_json("trace", "t")
            assert any(step["station"] == "old" and step["tone"] == "good" for step in story["steps"])
            assert front.wait_until(
                lambda: not request(front.url, "GET", "/ready").json()["oldest_undelivered_seconds"], 10, "no age"
            )
            assert KEY not in behind.log()
