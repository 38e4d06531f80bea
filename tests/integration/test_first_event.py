"""A newcomer's first event, and every window through which they can watch it."""

import json
import re
from uuid import uuid4

import pytest
from house import KEY, House, customhouse
from knock import basic, request, send
from prometheus_client.parser import text_string_to_metric_families

PLANNED = {
    "event": "Order Completed",
    "version": "1.2.0",
    "owner": "team-checkout",
    "description": "A customer placed an order.",
    "requires": ["user_id"],
    "properties": {"total": {"type": "number"}},
    "required": ["total"],
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """One house for all tests that only look and send."""
    with House(tmp_path_factory.mktemp("shop") / "shop", plan={"order_completed": PLANNED}) as running:
        yield running


def lake(house, message_id, columns="*"):
    """Return the lake's rows of a message id, once nothing is in flight."""
    house.settled()
    return house.sql(f"select {columns} from events where message_id = '{message_id}'")


def order(**changes):
    return {
        "event": "Order Completed",
        "userId": "u-1",
        "properties": {"total": 9.5},
        "messageId": str(uuid4()),
    } | changes


def test_one_event_from_curl_to_lake(shop):
    message_id = str(uuid4())
    event = {"event": "Hello World", "anonymousId": "me", "properties": {"from": "curl"}, "messageId": message_id}
    answer = send(shop.url, event)
    assert (answer.status, answer.json()) == (200, {"success": True})
    assert re.fullmatch(r"0:\d+\+1", answer.receipt)

    (row,) = lake(shop, message_id)
    assert (row["type"], row["event"], row["anonymous_id"]) == ("track", "Hello World", "me")
    assert json.loads(row["properties"]) == {"from": "curl"}
    assert (row["source"], row["user_id"], row["replay"]) == ("app", None, False)

    for name in (message_id, row["event_id"], answer.receipt):
        (story,) = shop.cli_json("trace", name)
        assert (story["event_id"], story["state"]) == (row["event_id"], "delivered"), name
    told = shop.cli("trace", answer.receipt).stdout
    assert "door" in told and "lake" in told and "delivered" in told
    assert shop.cli("trace", str(uuid4())).returncode == 1

    books = shop.cli("balance")
    assert books.returncode == 0 and "unaccounted: 0" in books.stdout


def test_an_event_without_message_id_gets_one(shop):
    answer = send(shop.url, {"event": "No Id", "anonymousId": "me"})
    shop.settled()
    (story,) = shop.cli_json("trace", answer.receipt)
    (row,) = lake(shop, story["message_id"])
    assert (row["event"], row["event_id"]) == ("No Id", row["message_id"])
    assert "message_id_missing" in row["flags"]


def test_the_same_event_twice_is_in_the_lake_once(shop):
    event = order()
    first, second = send(shop.url, event), send(shop.url, event)
    assert (first.status, second.status) == (200, 200)
    (row,) = lake(shop, event["messageId"])
    assert row["schema_version"] == "1.2.0"
    (story,) = shop.cli_json("trace", second.receipt)
    assert "duplicate" in story["state"]


def test_tail_shows_good_and_bad_with_the_reason(shop):
    good, bad = order(), order(properties={"total": "much"})
    send(shop.url, good)
    send(shop.url, bad)
    shop.settled()
    lines = shop.cli("tail", "--no-follow", "--json", "--last", "1000").stdout.splitlines()
    seen = {row["message_id"]: row for row in map(json.loads, lines)}
    assert (seen[good["messageId"]]["good"], seen[good["messageId"]]["fate"]) == (True, "routed")
    assert (seen[bad["messageId"]]["good"], seen[bad["messageId"]]["fate"]) == (False, "quarantined:schema_violation")
    only_bad = shop.cli("tail", "--no-follow", "--json", "--last", "1000", "--only", "bad").stdout
    assert bad["messageId"] in only_bad and good["messageId"] not in only_bad


def test_quarantined_events_are_shown_repaired_and_replayed(shop, tmp_path):
    event = order(properties={"total": "9.50"})
    assert send(shop.url, event).status == 200
    shop.settled()
    (held,) = [e for e in shop.cli_json("quarantine", "list") if e["message_id"] == event["messageId"]]
    assert (held["reason"], held["event"]) == ("schema_violation", "Order Completed")
    whole = shop.cli_json("quarantine", "list", "--reason", "schema_violation")
    assert held in whole
    shown = json.loads(shop.cli("quarantine", "show", held["id"]).stdout)
    assert shown["original"] == event and shown["remedy"]

    repaired = tmp_path / "repaired.json"
    repaired.write_text(json.dumps(event | {"properties": {"total": 9.5}}))
    done = shop.cli_json("quarantine", "replay", held["id"], "--with", str(repaired))
    assert done == {"replayed": 1, "quarantined_again": 0}
    (row,) = lake(shop, event["messageId"])
    assert (row["event_id"], row["replay"], json.loads(row["properties"])) == (held["id"], True, {"total": 9.5})
    assert event["messageId"] not in str(shop.cli_json("quarantine", "list"))


def test_quarantined_events_are_discarded_for_good(shop):
    event = order(properties={})
    send(shop.url, event)
    shop.settled()
    (held,) = [e for e in shop.cli_json("quarantine", "list") if e["message_id"] == event["messageId"]]
    before = shop.balance()["accounts"].get("dropped:discarded", 0)
    assert shop.cli_json("quarantine", "discard", held["id"], "--yes") == {"discarded": 1}
    assert shop.balance()["accounts"]["dropped:discarded"] == before + 1
    assert shop.cli("quarantine", "show", held["id"]).returncode == 1
    assert lake(shop, event["messageId"]) == []


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch", "/v1/identify"])
@pytest.mark.parametrize("headers", [{}, {"authorization": basic("nobody")}])
def test_an_unknown_key_is_401_in_json(shop, path, headers):
    body = b'{"event":"x","anonymousId":"a","batch":[{"type":"track","event":"x","anonymousId":"a"}]}'
    answer = request(shop.url, "POST", path, body, headers)
    assert answer.status == 401
    assert set(answer.json()) == {"code", "message"}
    assert answer.json()["code"] == ("unknown_write_key" if headers else "missing_write_key")


def test_ready_says_why(shop):
    answer = request(shop.url, "GET", "/ready")
    said = answer.json()
    assert answer.status == 200 and said["ready"] and not said["disk"]["low"]
    assert said["disk"]["free_bytes"] > said["disk"]["floor_bytes"] > 0
    assert request(shop.url, "GET", "/health").status == 200
    assert request(shop.url, "GET", "/version").json()["name"] == "customhouse"


def test_metrics_agree_with_the_books(shop):
    send(shop.url, order())
    books = shop.settled()

    def agreed():
        """Return the metrics once the console has seen what is seconds old: the balance and what processes measured."""
        page = request(shop.console_url, "GET", "/metrics").body.decode()
        families = {family.name: family for family in text_string_to_metric_families(page)}
        if "customhouse_balance_events" not in families:
            return None  # the books it has seen were empty still
        samples = families["customhouse_balance_events"].samples
        accounts = {sample.labels["account"]: int(sample.value) for sample in samples if sample.value}
        return families if accounts == books["accounts"] and "customhouse_stage_duration_seconds" in families else None

    families = shop.wait_until(agreed, 20, "metrics agree with the balance")
    assert [sample.value for sample in families["customhouse_unaccounted_events"].samples] == [0]
    stages = {sample.labels.get("stage") for sample in families["customhouse_stage_duration_seconds"].samples}
    assert {"dedupe", "clock", "validation", "routing"} <= stages
    health = request(shop.console_url, "GET", "/health")
    assert health.status == 200, health.body


def test_doctor_finds_a_running_house_well(shop):
    findings = shop.cli_json("doctor")
    assert {finding["verdict"] for finding in findings} <= {"ok", "warning"}


def test_check_reports_all_problems_at_once(tmp_path):
    house = House(
        tmp_path / "bad",
        dedup={},
        limits={"event_bytes": "big"},
        destinations={"hook": {"type": "webhook", "url": "ftp://example.com"}},
        routes=[{"to": "hok"}],
    )
    house.plan("broken", {"event": "X", "verison": "1.0.0"})
    told = house.cli_json("check", codes=(2,))
    assert told["ok"] is False
    text = json.dumps(told["problems"])
    for place in ("dedup", "event_bytes", "verison"):
        assert place in text
    assert "did you mean `dedupe`" in text
    assert not house.data.exists(), "check starts nothing and writes nothing"
    house.configuration.pop("dedup")
    house.write(limits={})
    house.plan("broken", {"event": "X", "version": "1.0.0", "owner": "o", "description": "d"})
    problems = [problem["place"] for problem in house.cli_json("check", codes=(2,))["problems"]]
    assert any("routes" in place for place in problems)
    assert any("hook.url" in place for place in problems)
    refused = house.cli("run", "--port", "0", "--console-port", "0")
    assert refused.returncode == 2 and "hok" in refused.stderr


def test_init_makes_a_workspace_that_runs(tmp_path):
    folder = tmp_path / "mine"
    made = customhouse("init", str(folder))
    assert made.returncode == 0, made.stderr
    assert customhouse("init", str(folder)).returncode == 1, "nothing is overwritten"
    with House.at(folder) as house:
        key = (folder / "secrets" / "web.key").read_text().strip()
        event = {"event": "Signed Up", "userId": "u-1", "messageId": "m-1", "properties": {"plan": "pro"}}
        assert send(house.url, event, key=key).status == 200
        (row,) = lake(house, "m-1")
        assert (row["event"], row["source"], row["schema_version"]) == ("Signed Up", "web", "1.0.0")


def test_changes_take_effect_and_bad_ones_are_refused(house):
    assert send(house.url, order(), key="second").status == 401
    sources = house.configuration["sources"]
    house.write(sources=sources | {"second": {"write_key": "second"}})
    assert house.cli_json("reload")["config"] == 2
    house.wait_until(lambda: send(house.url, order(), key="second").status == 200, 10, "the new source is known")

    house.write(sources={"app": {"write_key": KEY, "protocl": "segment"}})
    refused = house.cli("reload")
    assert refused.returncode == 2 and "protocl" in refused.stderr
    house.signal(1)  # SIGHUP with the bad file: the old configuration stays
    assert send(house.url, order(), key="second").status == 200

    house.write(sources=sources)
    house.plan("order_completed", PLANNED)
    house.signal(1)
    house.wait_until(lambda: send(house.url, order(), key="second").status == 401, 10, "the second source is gone")

    def judged_by_plan():
        event = order(properties={"total": "x"})
        send(house.url, event)
        house.settled()
        return event["messageId"] in str(house.cli_json("quarantine", "list"))

    house.wait_until(judged_by_plan, 20, "the plan is in force")
    assert house.settled()["unaccounted"] == 0
    assert {row["plan_release"] for row in house.sql("select distinct plan_release from events")} >= {1}


def test_a_door_short_of_disk_says_so_and_opens_by_itself(house):
    house.write(limits={"free_disk_bytes": 10**18})
    house.cli_json("reload")
    answer = house.wait_until(lambda: refused(house), 10, "the floor is in force")
    assert (answer.json()["code"], int(answer.headers["retry-after"]) > 0) == ("disk_low", True)
    ready = request(house.url, "GET", "/ready")
    assert (ready.status, ready.json()["disk"]["low"]) == (503, True)

    house.write(limits={})
    house.cli_json("reload")
    house.wait_until(lambda: request(house.url, "GET", "/ready").status == 200, 10, "the floor is gone")
    event = order(event="Later")
    assert send(house.url, event).status == 200
    assert len(lake(house, event["messageId"])) == 1
    books = house.settled()
    assert books["accounts"]["refused:disk_low"] >= 1 and books["unaccounted"] == 0


def refused(house):
    """Return the answer to an event when it is a refusal."""
    answer = send(house.url, order())
    return answer if answer.status == 503 else None
