import asyncio
import json

from liar import Liar
from workbench import Bench, Running, now, sender, until

from customhouse.delivery.lane import Lane
from customhouse.delivery.main import Delivery
from customhouse.delivery.settle import Paused
from customhouse.destinations.webhook import Webhook
from customhouse.model.posting import delivered, rejected
from customhouse.telemetry.logs import open_log


class Clumsy:
    """A destination with bugs of its own: it fails on certain events."""

    def __init__(self, inner: Webhook, *, packs: str = "", drops: str = "", weighs: str = "") -> None:
        self.limits = inner.limits
        self._inner, self._packs, self._drops, self._weighs = inner, packs, drops, weighs

    def pack(self, events, now):
        if any(event.message_id == self._packs for event in events):
            raise KeyError("properties of a person")
        return self._inner.pack([event for event in events if event.message_id != self._drops], now)

    def weigh(self, parcel, response):
        receipts = self._inner.weigh(parcel, response)
        return receipts[1:] if any(event.message_id == self._weighs for event in parcel.events) else receipts


def clumsy(lane: Lane, **faults) -> Lane:
    inner = lane._courier._destination
    return Lane(lane.name, Clumsy(inner, **faults), lane._config, lane._tools)


def test_a_destinations_bug_harms_one_event_and_no_other():
    async def story(**faults):
        bench = Bench()
        bench.owe(20)
        async with Liar() as liar, sender() as http, Running(clumsy(bench.lane(http, liar.url), **faults)):
            await until(lambda: bench.balance(delivered("crm")) + bench.balance(rejected("crm")) == 20)
        (held,) = bench.rejected()
        assert (held.event.message_id, held.reason) == ("message-5", "poison")
        assert "person" not in held.answer + bench.log_text.getvalue()

    asyncio.run(story(packs="message-5"))
    asyncio.run(story(drops="message-5"))


def test_an_answer_for_too_few_events_is_no_delivery():
    async def story():
        bench = Bench()
        bench.owe(20)
        async with (
            Liar() as liar,
            sender() as http,
            Running(clumsy(bench.lane(http, liar.url, order="none"), weighs="message-5")),
        ):
            await until(lambda: bench.balance(delivered("crm")) == 19)
            assert [held.event.message_id for held in bench.retrying()] == ["message-5"]

    asyncio.run(story())


class Broken:
    """A lane that fails whenever it runs."""

    name = "broken"
    runs = 0

    async def run(self) -> None:
        self.runs += 1
        raise ZeroDivisionError

    def stop(self) -> None:
        """There is nothing to stop."""

    def health(self):
        return {"state": "broken"}


def test_a_lane_that_fails_stops_no_other():
    async def story():
        bench = Bench()
        bench.owe(3)
        async with Liar() as liar, sender() as http:
            lane, broken, stop = bench.lane(http, liar.url), Broken(), asyncio.Event()
            delivery = Delivery([broken, lane], lane._settler, open_log("delivery", stream=bench.log_text))
            running = asyncio.create_task(delivery.run(stop))
            await until(lambda: bench.balance(delivered("crm")) == 3 and broken.runs > 0)
            assert set(delivery.health(now())) == {"broken", "crm"}
            assert not await delivery.pause("broken", Paused(now(), "cli"))
            stop.set()
            await running
        lines = [json.loads(line) for line in bench.log_text.getvalue().splitlines()]
        assert any(line["event"] == "lane.failed" and line["error"] == "ZeroDivisionError" for line in lines)

    asyncio.run(story())


def test_a_reload_swaps_lanes_without_losing_or_repeating():
    async def story():
        bench = Bench()
        ids = bench.owe(5)
        async with Liar() as old, Liar() as new, sender() as http:
            first, stop = bench.lane(http, old.url), asyncio.Event()
            delivery = Delivery([first], first._settler, open_log("delivery", stream=bench.log_text))
            running = asyncio.create_task(delivery.run(stop))
            await until(lambda: bench.balance(delivered("crm")) == 5)
            delivery.reload([first])
            assert delivery.health(now())["crm"]["state"] == "running"
            delivery.reload([bench.lane(http, new.url)])
            ids += bench.owe(4)
            await until(lambda: bench.balance(delivered("crm")) == 9)
            delivery.reload([])
            assert delivery.health(now()) == {}
            stop.set()
            await running
        assert old.ids + new.ids == ids

    asyncio.run(story())


def test_a_paused_lane_sends_nothing_until_resumed():
    async def story():
        bench = Bench()
        async with Liar() as liar, sender() as http:
            lane, stop = bench.lane(http, liar.url), asyncio.Event()
            delivery = Delivery([lane], lane._settler, open_log("delivery", stream=bench.log_text))
            since = now()
            assert await delivery.pause("crm", Paused(since, "console"))
            assert not await delivery.pause("nobody", Paused(since, "console"))
            running = asyncio.create_task(delivery.run(stop))
            bench.owe(2)
            await asyncio.sleep(0.1)
            assert liar.sent == []
            said = delivery.health(now())["crm"]
            assert (said["state"], said["paused_at"], said["paused_by"]) == ("paused", since, "console")
            assert await delivery.pause("crm", Paused(now(), "cli")), "paused once more, by somebody else"
            assert delivery.health(now())["crm"]["paused_by"] == "console"
            assert await delivery.resume("crm")
            await until(lambda: bench.balance(delivered("crm")) == 2)
            stop.set()
            await running

    asyncio.run(story())


def test_a_pause_outlives_the_process_and_the_lane():
    async def story():
        bench = Bench()
        async with Liar() as liar, sender() as http:
            first = bench.lane(http, liar.url)
            delivery = Delivery([first], first._settler, open_log("delivery", stream=bench.log_text))
            assert await delivery.pause("crm", Paused(17, "cli"))
            bench.owe(2)
            lane, stop = bench.lane(http, liar.url), asyncio.Event()  # as after a kill: all but the state is new
            delivery = Delivery([lane], lane._settler, open_log("delivery", stream=bench.log_text))
            running = asyncio.create_task(delivery.run(stop))
            await until(lambda: delivery.health(now())["crm"]["state"] == "paused")
            delivery.go_on("crm")
            delivery.reload([bench.lane(http, liar.url)])
            await until(lambda: delivery.health(now())["crm"]["paused_at"] == 17)
            assert liar.sent == []
            await until(lambda: delivery.health(now())["crm"]["lag_events"] == 2)
            assert delivery.health(now())["crm"]["oldest_seconds"] >= 0
            assert await delivery.resume("crm")
            await until(lambda: bench.balance(delivered("crm")) == 2)
            stop.set()
            await running
        async with Liar() as liar, sender() as http, Running(bench.lane(http, liar.url)) as again:
            bench.owe(1)
            await until(lambda: bench.balance(delivered("crm")) == 3)
            assert again.health()["paused_at"] == 0

    asyncio.run(story())


def test_health_tells_answers_rate_and_share_without_the_destinations_words():
    async def story():
        bench = Bench()
        ids = bench.owe(4)
        answers = {2: 500}
        async with Liar(lambda sent: answers.get(len(liar.sent), 200)) as liar, sender() as http:
            lane, stop = bench.lane(http, liar.url), asyncio.Event()
            delivery = Delivery([lane], lane._settler, open_log("delivery", stream=bench.log_text))
            running = asyncio.create_task(delivery.run(stop))
            await until(lambda: bench.balance(delivered("crm")) == 4)
            ids += bench.owe(2)
            await until(lambda: bench.balance(delivered("crm")) == 6)
            said = delivery.health(now())["crm"]
            stop.set()
            await running
        assert {(each["status"], each["reason"]): each["count"] for each in said["answers"]} == {
            (200, "delivered"): 2,
            (500, "server_error"): 1,
        }
        assert said["answers"][0]["reason"] == "delivered", "the newest first"
        assert (said["delivered"], said["refused"], said["success"], said["rate"]) == (6, 0, 1.0, 0.1)
        assert said["state_since"] <= now()

    asyncio.run(story())


def test_a_lane_that_hangs_is_cut_when_draining_and_loses_nothing():
    async def story():
        bench = Bench()
        ids = bench.owe(2)
        async with Liar(lambda _sent: "hang") as liar, sender() as http:
            lane = bench.lane(http, liar.url, timeout_seconds=60.0)
            delivery = Delivery([lane], lane._settler, open_log("delivery", stream=bench.log_text))
            running = asyncio.create_task(delivery.run(asyncio.Event()))
            await until(lambda: len(liar.sent) == 1)
            await delivery.drain(0.05)
            running.cancel()
            liar.answer = lambda _sent: 200
            async with Running(bench.lane(http, liar.url)):
                await until(lambda: bench.balance(delivered("crm")) == 2)
        assert liar.ids == ids
        assert liar.sent[0].key == liar.sent[1].key

    asyncio.run(story())


def test_a_backlog_beyond_its_budget_is_told_while_the_lane_waits(monkeypatch):
    monkeypatch.setattr("customhouse.delivery.lane.WATCH_SECONDS", 0.02)

    async def story():
        bench = Bench()
        bench.owe(3, at=now() - 7_200_000_000)
        async with (
            Liar(lambda _sent: 503) as liar,
            sender() as http,
            Running(bench.lane(http, liar.url, backlog_hours=1.0)) as lane,
        ):
            await until(lambda: lane.health()["over_budget"])
            assert lane.health()["oldest_seconds"] >= 7200
            liar.answer = lambda _sent: 200
            await until(lambda: not lane.health()["over_budget"])
        events = [json.loads(line)["event"] for line in bench.log_text.getvalue().splitlines()]
        assert events.count("lane.alert") == 1 and events.count("lane.recovered") == 1

    asyncio.run(story())
