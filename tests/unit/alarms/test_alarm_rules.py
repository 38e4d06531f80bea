import json

import pytest
from readings import GB, Watched, lane

from customhouse.alarms.config import AlarmsConfig, AlarmWebhookConfig, problems
from customhouse.alarms.notice import body
from customhouse.alarms.reading import DiskSeen
from customhouse.alarms.words import events, size, span
from customhouse.settings import decode


def test_a_lane_that_is_late_is_told_with_its_numbers():
    house = Watched(late_minutes=10)
    assert house.told(lanes=(lane(oldest_seconds=599),)) == []
    (notice,) = house.see(lanes=(lane(state="backing off", oldest_seconds=720, lag_events=3, last_answer="503"),))
    assert notice.told == "the oldest of 3 events for crm has waited 12 min (backing off, last answer: 503)."
    (paused,) = Watched(late_minutes=1).see(lanes=(lane(state="paused", oldest_seconds=99, paused_by="console"),))
    assert "paused by the console" in paused.told
    assert "customhouse destinations resume crm" in paused.mend


def test_a_backlog_is_held_to_whichever_budget_is_nearer():
    house = Watched()
    assert house.told(lanes=(lane(lag_events=10, budget_events=100, oldest_seconds=60, budget_seconds=100.0),)) == []
    (notice,) = house.see(lanes=(lane(lag_events=10, budget_events=100, oldest_seconds=81, budget_seconds=100.0),))
    assert (notice.alarm, notice.severity) == ("lane_backlog", "warning") and "81%" in notice.told
    (worse,) = house.see(lanes=(lane(lag_events=10, budget_events=100, over_budget=True),))
    assert worse.severity == "critical"
    assert Watched().told(lanes=(lane(lag_events=10**9),)) == [], "without a budget there is nothing to hold it to"


def test_the_disk_warns_before_the_door_closes_and_says_when_it_does():
    house = Watched(clear_seconds=0)
    assert house.told(disk=DiskSeen(2 * GB, GB)) == []
    (warned,) = house.see(disk=DiskSeen(2 * GB - 1, GB))
    assert (warned.severity, warned.told) == ("warning", "2.0 GB of disk are free; the door closes below 1.0 GB.")
    (closed,) = house.see(disk=DiskSeen(GB - 1, GB))
    assert closed.severity == "critical" and "503" in closed.told
    assert house.told(disk=DiskSeen(2_100_000_000, GB)) == []
    assert house.told(disk=DiskSeen(2_300_000_000, GB)) == [("cleared", "disk_low", "disk")]


def test_a_burst_of_quarantine_needs_number_and_share():
    config = {"quarantine_minutes": 1, "quarantine_events": 50, "quarantine_share": 0.1, "clear_seconds": 0}
    few = Watched(**config)
    few.see()
    assert few.told(judged=49, quarantined={"x": 49}) == [], "too few, whatever the share"
    small = Watched(**config)
    small.see()
    assert small.told(judged=1000, quarantined={"x": 60}) == [], "too small a share, whatever the number"
    house = Watched(**config)
    house.see(judged=5000, quarantined={"schema_violation": 4000})
    (notice,) = house.see(judged=5100, quarantined={"schema_violation": 4040, "event_too_large": 20})
    assert notice.told == "60 of 100 events (60%) went to quarantine within 1 min, 40 of them for schema_violation."
    said = {"judged": 5100, "quarantined": {"schema_violation": 4040, "event_too_large": 20}}
    told = [house.told(**said) for _ in range(13)]
    assert told.count([("cleared", "quarantine_burst", "quarantine")]) == 1, "it ends when the burst is a minute old"


def test_what_was_quarantined_before_anybody_watched_is_no_burst():
    house = Watched()
    assert house.told(judged=10_000, quarantined={"x": 10_000}) == []
    assert house.told(judged=10_000, quarantined={"x": 10_000}) == []


def test_events_are_unaccounted_only_when_two_readings_agree():
    house = Watched(clear_seconds=0)
    assert house.told(unaccounted=3) == []
    assert house.told() == []
    assert house.told(unaccounted=3) == []
    assert house.told(1, unaccounted=2) == [], "two looks at one striking of the balance are one"
    (notice,) = house.see(1, unaccounted=2)
    assert (notice.alarm, notice.severity) == ("unaccounted", "critical")
    assert notice.told == "2 events cannot be accounted for."
    assert house.told() == [("cleared", "unaccounted", "books")]


def test_a_process_may_be_away_for_a_restart_and_no_longer():
    away = {"running": {"collector": True, "pipeline": False}}
    house = Watched(missing_seconds=30)
    assert [house.told(**away) for _ in range(6)] == [[]] * 6
    assert house.told(**away) == [("raised", "process_missing", "pipeline")]


def test_a_process_that_keeps_ending_is_told_also_when_the_supervisor_counts_anew():
    house = Watched(restarts=3, restart_minutes=1)
    house.see(restarts={"pipeline": 7})
    assert house.told(restarts={"pipeline": 9}) == []
    assert house.told(restarts={"pipeline": 1}) == [("raised", "process_restarting", "pipeline")]
    told = [house.told(restarts={"pipeline": 1}) for _ in range(20)]
    assert told.count([("cleared", "process_restarting", "pipeline")]) == 1


def test_a_door_that_refuses_is_told():
    house = Watched(refusals=10, refusal_minutes=1)
    house.see(refusals=500)
    assert house.told(refusals=509) == []
    (notice,) = house.see(refusals=511)
    assert (notice.subject, notice.told) == ("door", "the door answered 503 to 11 requests within 1 min.")


def test_a_webhook_that_fails_is_itself_an_alarm():
    house = Watched(clear_seconds=0)
    (notice,) = house.see(webhook_failures=2, webhook_told="it answered 403")
    assert (notice.alarm, notice.mend) == ("webhook_failing", "customhouse alarms test")
    assert "2 times in a row: it answered 403" in notice.told
    assert house.told() == [("cleared", "webhook_failing", "webhook")]


def test_a_notice_is_json_with_a_text_for_chats():
    house = Watched(quiet_minutes=1)
    (raised,) = house.see(lanes=(lane(state="parked", lag_events=1200, oldest_seconds=95, last_answer="401"),))
    said = json.loads(json.dumps(body(raised, "shop")))
    assert {"format", "id", "event", "alarm", "subject", "severity", "since", "at", "message", "mend", "text"} <= set(
        said
    )
    assert (said["event"], said["alarm"], said["subject"], said["severity"]) == (
        "raised",
        "lane_parked",
        "crm",
        "critical",
    )
    assert said["since"] == "2023-11-14T22:13:25Z"
    assert said["text"].startswith(
        "● Customhouse shop: critical, lane_parked crm: crm refuses our credentials (401); 1,200"
    )
    assert said["text"].endswith("What to do: put the right credentials in place, then: customhouse reload")
    (still,) = house.see(60, lanes=(lane(state="parked"),))
    assert "(for 1 min now)" in body(still, "shop")["text"] and still.key != raised.key
    house.see()
    (cleared,) = house.see(15)
    assert body(cleared, "shop")["text"].startswith("✓ Customhouse shop: lane_parked crm has ended after 1 min 20 s.")
    assert body(cleared, "shop")["lasted_seconds"] == 80.0


@pytest.mark.parametrize(
    ("said", "words"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (95, "1 min 35 s"), (12_000, "3 h 20 min"), (90_000, "1 d 1 h")],
)
def test_spans_are_read_in_two_units(said, words):
    assert span(said) == words


def test_sizes_and_counts_are_read_easily():
    assert [size(n) for n in (12, 4_200, 3_000_000, 1_500_000_000)] == ["12 bytes", "4.2 kB", "3.0 MB", "1.5 GB"]
    assert [events(n) for n in (0, 1, 1234)] == ["0 events", "1 event", "1,234 events"]


def test_a_webhooks_address_is_checked_and_never_repeated(tmp_path):
    (tmp_path / "hook.url").write_text("ftp://chat.example.com/T0/secret-part\n")
    config = AlarmsConfig(webhook=AlarmWebhookConfig(url="file:hook.url", secret="env:CUSTOMHOUSE_NO_SUCH_VARIABLE"))
    found = list(problems(config, tmp_path, "alarms"))
    assert [each.place for each in found] == ["alarms.webhook.url", "alarms.webhook.secret"]
    assert "secret-part" not in str(found)
    (tmp_path / "hook.url").write_text("https://chat.example.com/T0/secret-part\n")
    assert list(problems(AlarmsConfig(webhook=AlarmWebhookConfig(url="file:hook.url")), tmp_path, "alarms")) == []
    decoded, _ = decode(AlarmsConfig, {"webhook": {"url": "https://chat.example.com/T0/secret-part"}}, "")
    assert "secret-part" not in repr(decoded)
