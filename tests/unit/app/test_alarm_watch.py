"""The watch with a real webhook: it keeps what it knows, posts in order, tries again, and never holds up the looking."""

import asyncio
import hashlib
import hmac
import json
import signal
import time

import pytest
from lying import LyingServer
from msgspec.structs import replace

from customhouse.alarms.board import Alarm
from customhouse.alarms.config import AlarmWebhookConfig
from customhouse.alarms.notice import Notice
from customhouse.app.lanes import publish
from customhouse.app.process import Announcement, Process
from customhouse.app.rules import newest, take_in
from customhouse.app.windows.alarms import AlarmWatch, kept, try_webhook
from customhouse.app.windows.alarms.gather import gather
from customhouse.app.windows.alarms.kept import FILE, Kept, PostState, keep
from customhouse.app.windows.alarms.post import MOST_WAITING, Post, Target
from customhouse.app.windows.window import Seen, Window
from customhouse.app.workspace import Workspace
from customhouse.model.contracts import no_fault
from customhouse.model.errors import Unavailable
from customhouse.telemetry.logs import open_log
from customhouse.telemetry.measure import Meter

CONFIG = """\
name: shop
limits: {free_disk_bytes: 0}
sources:
  web: {write_key: literal-key}
destinations:
  lake: {type: lake}
  crm: {type: webhook, url: 'http://127.0.0.1:9/in', backlog_events: 50, backlog_hours: 2}
routes:
  - to: [lake, crm]
"""
PARKED = {"state": "parked", "last_answer": "401 unauthorized", "lag_events": 3, "oldest_seconds": 4.5, "paused_by": ""}


@pytest.fixture(autouse=True)
def signals():
    """Give back the signals a process takes over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def hook():
    with LyingServer() as server:
        yield server


@pytest.fixture
def place(tmp_path):
    made = Workspace(tmp_path, tmp_path / ".data")
    made.plan.mkdir()
    made.config_file.write_text(CONFIG)
    made.prepare(open_log("test"))
    return made


def accepted(place, text):
    place.config_file.write_text(text)
    take_in(place, {})


def telling(hook):
    return (
        CONFIG
        + f"alarms: {{every_seconds: 0.2, clear_seconds: 0.0, webhook: {{url: '{hook.url}/x', secret: s3cret}}}}\n"
    )


def watch_of(place, seen):
    """Return a watch that sees what a list of readings says; the last one stays."""
    process = Process(place, "console", open_log("console"), Meter("console"), no_fault)
    looked = []

    async def see():
        looked.append(1)
        found = seen[min(len(looked) - 1, len(seen) - 1)]
        if isinstance(found, Exception):
            raise found
        return replace(found, at=time.time())

    return AlarmWatch(process, see), looked


def seen_of(place, **lanes):
    publish(place, lanes, {})
    running = Announcement(kind="x", pid=1, config=1, ready_at=time.time() - 60)
    window = Window(place)
    try:
        return Seen(
            at=time.time(), balance=window.balance(), lanes=lanes,
            processes=dict.fromkeys(("collector", "pipeline", "delivery", "console"), running), measured=[],
        )  # fmt: skip
    finally:
        window.close()


async def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


async def running(watch, condition):
    task = asyncio.create_task(watch.run())
    try:
        await until(condition)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_what_is_seen_becomes_what_is_judged(place):
    accepted(place, CONFIG)
    reading = gather(place, newest(place).configuration, seen_of(place, crm=PARKED, lake={"state": "running"}))
    crm, lake = reading.lanes
    assert (crm.state, crm.lag_events, crm.oldest_seconds, crm.last_answer) == ("parked", 3, 4.5, "401 unauthorized")
    assert (crm.budget_events, crm.budget_seconds) == (50, 7200.0)
    assert (lake.state, lake.budget_events) == ("running", None)
    assert reading.disk.free > 0 and reading.disk.floor == 0
    assert (reading.unaccounted, reading.judged, reading.refusals, reading.restarts) == (0, 0, None, None)
    assert reading.running == {"collector": True, "pipeline": True, "delivery": True}


def test_what_a_delivery_said_that_is_gone_is_not_believed(place):
    accepted(place, CONFIG)
    seen = seen_of(place, crm=PARKED)
    configuration = newest(place).configuration
    assert gather(place, configuration, seen).lanes is not None
    fresh = replace(seen.processes["delivery"], ready_at=time.time() + 1)
    assert gather(place, configuration, replace(seen, processes=seen.processes | {"delivery": fresh})).lanes is None
    assert gather(place, configuration, replace(seen, processes=seen.processes | {"delivery": None})).lanes is None
    later = gather(place, configuration, replace(seen, at=time.time() + 60))
    assert later.running == {"collector": True, "pipeline": True, "delivery": False}, "it lives, and says nothing"


def test_an_alarm_is_posted_signed_and_kept(place, hook):
    accepted(place, telling(hook))
    first, _ = watch_of(place, [seen_of(place, crm=PARKED)])
    asyncio.run(running(first, lambda: hook.requests() and not first.state().waiting))
    assert [(alarm.name, alarm.subject) for alarm in kept(place).board.standing()] == [("lane_parked", "crm")]
    assert first.strip()[0].tone == "bad" and "401" in first.strip()[0].words
    (taken,) = hook.requests()
    said = dict(part.split("=", 1) for part in taken.headers["x-customhouse-signature"].split(","))
    expected = hmac.new(b"s3cret", said["t"].encode() + b"." + taken.body, hashlib.sha256).hexdigest()
    assert said["v1"] == expected and taken.json()["workspace"] == "shop"


def test_what_stands_goes_on_standing_in_the_next_process(place, hook):
    accepted(place, telling(hook))
    state = Kept(at=time.time())
    state.board.alarms["lane_parked:crm"] = Alarm(
        name="lane_parked", subject="crm", severity="critical", since=time.time() - 60, told="crm refuses.", standing=True,
        told_at=time.time() - 60, told_severity="critical",
    )  # fmt: skip
    keep(place, state)
    parked, well = seen_of(place, crm=PARKED), seen_of(place, crm={"state": "running"})
    watch, _ = watch_of(place, [parked, parked, well])
    asyncio.run(running(watch, lambda: hook.requests() and not watch.state().waiting))
    assert [taken.json()["event"] for taken in hook.requests()] == ["cleared"]
    assert kept(place).board.standing() == []


def test_a_look_that_fails_is_told_and_the_watch_goes_on(place, hook):
    accepted(place, telling(hook))
    watch, looked = watch_of(
        place, [Unavailable("the log does not answer"), Unavailable("x"), Unavailable("y"), ZeroDivisionError()]
    )
    asyncio.run(running(watch, lambda: len(looked) > 5))
    assert {alarm.name for alarm in watch.standing()} == {"watch_blind"}
    assert "the log does not answer" not in watch.strip()[0].words and "y" in watch.strip()[0].words


def test_a_new_configuration_is_taken_in_without_a_word(place, hook):
    accepted(place, CONFIG + "alarms: {every_seconds: 0.2}\n")
    watch, looked = watch_of(place, [seen_of(place, crm=PARKED)])

    async def story():
        task = asyncio.create_task(watch.run())
        await until(watch.standing)
        assert not watch.state().post.configured and watch.enabled()
        await asyncio.to_thread(accepted, place, CONFIG + "alarms: {enabled: false}\n")
        await until(lambda: not watch.enabled())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert watch.standing() == [] and hook.requests() == [] and looked
    (gauge,) = [each for each in watch._process.meter.take().gauges if each.name == "customhouse_alarm"]
    assert gauge.value == 0


def notice(nth=0, alarm="lane_parked"):
    return Notice(
        what="raised", alarm=alarm, subject=f"lane-{nth}", severity="critical", since=1.0, at=2.0, told="t", mend="m"
    )


def test_notices_wait_in_order_for_a_webhook_that_fails(place, hook):
    hook.then("500", "reset", "301")

    async def story():
        changes = []
        post = Post([notice(0)], PostState(), lambda: changes.append(post.state.failures))
        post.aim(Target("shop", place.root, AlarmWebhookConfig(url=hook.url)))
        post.put([notice(1), notice(2, "webhook_failing")])
        task = asyncio.create_task(post.run())
        for failed in (1, 2, 3):
            await until(lambda failed=failed: len(changes) >= failed)
            post.aim(Target("shop", place.root, AlarmWebhookConfig(url=hook.url)))  # as a reload does
        await until(lambda: not post.waiting)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return changes, post.state

    changes, state = asyncio.run(story())
    assert changes[:3] == [1, 2, 3] and state.failures == 0 and state.told == "it answered 200"
    subjects = [taken.json()["subject"] for taken in hook.requests()]
    assert subjects == ["lane-0"] * 4 + ["lane-1"]
    keys = [taken.headers["idempotency-key"] for taken in hook.requests()]
    assert len(set(keys)) == 2, "the same notice keeps its key"


def test_what_waits_is_bounded_and_the_newest_stay(place):
    async def story():
        post = Post([], PostState(), lambda: None)
        post.aim(Target("shop", place.root, AlarmWebhookConfig(url="http://127.0.0.1:9/")))
        post.put([notice(nth) for nth in range(MOST_WAITING + 5)])
        return post

    post = asyncio.run(story())
    assert (len(post.waiting), post.state.dropped, post.waiting[0].subject) == (MOST_WAITING, 5, "lane-5")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("env:CUSTOMHOUSE_NO_SUCH_VARIABLE", "is not set"),
        ("ftp://chat.example.com/secret-part", "is not an http or https address"),
        ("http://127.0.0.1:9/secret-part", "cannot be reached"),
    ],
)
def test_a_webhook_that_cannot_work_says_why_and_keeps_its_secret(place, written, words):
    webhook = AlarmWebhookConfig(url=written)
    outcome = asyncio.run(try_webhook(Target("shop", place.root, webhook), webhook))
    assert not outcome.ok and words in outcome.told and "secret-part" not in outcome.told


def test_a_file_nobody_can_read_is_an_empty_board(place):
    assert kept(place).board.standing() == [] and not kept(place).watching
    (place.run / FILE).write_text('{"format": 99}')
    assert kept(place) == Kept()
    keep(place, Kept(at=time.time()))
    assert kept(place).watching and json.loads((place.run / FILE).read_text())["format"] == 1
