"""Alarms, seen from outside: a lane parks and somebody hears of it, once, signed; mended, and that is heard as well."""

import hashlib
import hmac
import json
import time

import pytest
from house import House
from knock import request, send
from lying import LyingServer

SECRET = "alarm-secret"  # a fixed secret of this test
QUICK = {"every_seconds": 0.3, "clear_seconds": 0.6}


@pytest.fixture
def hook():
    with LyingServer() as server:
        yield server


@pytest.fixture
def chat():
    with LyingServer() as server:
        yield server


def shop(folder, hook, chat, **alarms):
    folder.mkdir()
    (folder / "alarm.url").write_text(f"{chat.url}/services/T0/secret-part\n")
    (folder / "alarm.secret").write_text(SECRET + "\n")
    crm = {"type": "webhook", "url": f"{hook.url}/in", "linger_seconds": 0.05, "retry_base_seconds": 0.05}
    return House(
        folder,
        destinations={"lake": {"type": "lake", "flush_seconds": 0.2}, "crm": crm},
        routes=[{"to": ["lake", "crm"]}],
        alarms=QUICK | {"webhook": {"url": "file:alarm.url", "secret": "file:alarm.secret"}} | alarms,
    )


def batch(count):
    return {"batch": [{"type": "track", "event": "Seen", "userId": "u", "messageId": f"m{time.time_ns()}-{n}"} for n in range(count)]}  # fmt: skip


def looked_at(house):
    return json.loads((house.data / "run" / "alarms.json").read_bytes())["at"]


def told(chat):
    return [(said["event"], said["alarm"], said["subject"]) for said in (taken.json() for taken in chat.requests())]


def test_a_parked_lane_is_told_once_and_its_mending_too(tmp_path, hook, chat):
    hook.mode = "401"
    with shop(tmp_path / "house", hook, chat) as house:
        send(house.url, batch(3), "/v1/batch")
        house.wait_until(lambda: told(chat), 30, "the alarm arrives")
        (standing,) = house.cli_json("alarms", "list")["alarms"]
        assert (standing["alarm"], standing["subject"], standing["severity"]) == ("lane_parked", "crm", "critical")
        assert "customhouse reload" in standing["mend"]
        metrics = 'customhouse_alarm{alarm="lane_parked",subject="crm",process="console"}'
        house.wait_until(lambda: f"{metrics} 1" in request(house.console_url, "GET", "/metrics").body.decode(), 20, "1")

        before = looked_at(house)
        house.wait_until(lambda: looked_at(house) > before, 20, "looked again")
        house.kill("console")
        house.wait_until(lambda: len(house.pids()) == 4, 30, "the console is back")
        before = looked_at(house)
        house.wait_until(lambda: looked_at(house) > before, 20, "looked again")
        assert told(chat) == [("raised", "lane_parked", "crm")], "once, and not again after a restart"

        hook.mode = "ok"
        house.cli_json("reload")
        house.wait_until(lambda: len(told(chat)) > 1, 30, "the end arrives")
        assert told(chat) == [("raised", "lane_parked", "crm"), ("cleared", "lane_parked", "crm")]
        assert house.cli_json("alarms", "list")["alarms"] == []
        assert house.settled()["accounts"]["delivered:crm"] == 3
        for taken in chat.requests():
            said = dict(part.split("=", 1) for part in taken.headers["x-customhouse-signature"].split(","))
            expected = hmac.new(SECRET.encode(), said["t"].encode() + b"." + taken.body, hashlib.sha256).hexdigest()
            assert (taken.path, said["v1"]) == ("/services/T0/secret-part", expected)
            assert "crm" in taken.json()["text"]
        house.wait_until(lambda: f"{metrics} 0" in request(house.console_url, "GET", "/metrics").body.decode(), 20, "0")
        everything = house.log() + json.dumps(house.cli_json("alarms", "list"))
        assert "secret-part" not in everything and SECRET not in everything


def test_a_webhook_that_fails_is_shown_and_gets_everything_later(tmp_path, hook, chat):
    hook.mode, chat.mode = "401", "403"
    with shop(tmp_path / "house", hook, chat) as house:
        send(house.url, batch(1), "/v1/batch")

        def names():
            return {each["alarm"] for each in request(house.console_url, "GET", "/alarms.json").json()}

        house.wait_until(lambda: names() == {"lane_parked", "webhook_failing"}, 30, "both stand")
        failed = house.cli_json("alarms", "test", codes=(1,))
        assert failed == {"ok": False, "told": "it answered 403"}
        words = house.cli("alarms", "test")
        assert (words.returncode, "403" in words.stderr, "→" in words.stderr) == (1, True, True)
        chat.mode = "ok"
        assert house.cli_json("alarms", "test") == {"ok": True, "told": "it answered 200"}
        house.write(name="mended")
        house.cli_json("reload")
        house.wait_until(lambda: names() == {"lane_parked"}, 30, "the webhook's own alarm ends")
        taken = sorted(each.json()["event"] for each in chat.requests() if each.answer == "ok")
        assert taken == ["raised", "test"]


def test_without_a_webhook_the_test_says_what_to_write(tmp_path, hook, chat):
    house = shop(tmp_path / "house", hook, chat, webhook=None)
    done = house.cli("alarms", "test")
    assert done.returncode == 1 and "alarms:" in done.stderr
    assert house.cli_json("alarms", "list")["watching"] is False


def test_a_pause_outlives_kills_and_restarts_until_somebody_resumes(tmp_path, hook, chat):
    house = shop(tmp_path / "house", hook, chat)
    with house:
        send(house.url, batch(2), "/v1/batch")
        house.settled(acknowledged=2)
        assert house.cli_json("destinations", "pause", "crm") == {"paused": "crm", "waiting": 0}
        assert house.cli("destinations", "pause", "nobody").returncode == 1
        send(house.url, batch(3), "/v1/batch")
        house.settled(acknowledged=5, ignore=("owed:crm",))
        since = crm(house)["paused_at"]
        house.kill("delivery")
        house.wait_until(lambda: crm(house)["state"] == "not running" or len(house.pids()) == 4, 30, "it is gone")
        house.wait_until(lambda: len(house.pids()) == 4, 30, "delivery is back")
        house.wait_until(lambda: crm(house)["state"] == "paused", 30, "and still paused")
    sent = len(hook.events())
    with house:
        state = house.wait_until(
            lambda: (found := crm(house))["state"] == "paused" and found, 30, "paused after a restart"
        )
        assert (state["paused_at"], state["paused_by"], state["lag_events"]) == (since, "command line", 3)
        assert len(hook.events()) == sent == 2
        assert house.cli_json("destinations", "resume", "crm")["resumed"] == "crm"
        assert house.settled()["accounts"]["delivered:crm"] == 5
        state = house.wait_until(lambda: (found := crm(house))["answers"] and found, 10, "its answers are told")
        assert (state["state"], state["paused_at"]) == ("running", None)
        assert [(each["status"], each["reason"]) for each in state["answers"]] == [(200, "delivered")]


def crm(house):
    (found,) = house.cli_json("destinations", "list", "crm")
    return found
