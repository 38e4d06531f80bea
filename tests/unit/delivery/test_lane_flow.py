import asyncio

from liar import Liar
from workbench import Bench, Killed, Running, sender, until

from customhouse.model.posting import delivered, expired, owed, rejected


def test_events_arrive_in_order_and_are_booked():
    async def story():
        bench = Bench()
        ids = bench.owe(25) + bench.owe(3)
        bench.owe(4, to=("lake",))
        async with Liar() as liar, sender() as http, Running(bench.lane(http, liar.url)):
            await until(lambda: bench.balance(delivered("crm")) == 28)
        assert liar.ids == ids
        assert bench.balance(owed("crm")) == -28
        assert bench.mark().upto == 31, "the end of what is another's is written down when the lane stops"
        assert bench.mark().seen == 28
        rows = [row for frame in bench.receipts() for row in frame.rows]
        assert {(row.verdict, row.id) for row in rows} == {("delivered", b"")}

    asyncio.run(story())


def test_all_partitions_are_served():
    async def story():
        bench = Bench()
        ids = bench.owe(12, partition=0) + bench.owe(12, partition=2)
        async with Liar() as liar, sender() as http, Running(bench.lane(http, liar.url)):
            await until(lambda: bench.balance(delivered("crm")) == 24)
        assert sorted(liar.ids) == sorted(ids)
        assert bench.mark(2).seen == 12

    asyncio.run(story())


def test_events_wait_for_company_as_long_as_linger_says():
    async def story():
        bench = Bench()
        async with Liar() as liar, sender() as http, Running(bench.lane(http, liar.url, linger_seconds=30.0)):
            for _ in range(5):
                bench.owe(2)
            await until(lambda: bench.balance(delivered("crm")) == 10)
        assert len(liar.sent) == 1

    asyncio.run(story())


def test_a_killed_lane_goes_on_and_repeats_only_under_the_same_key():
    async def story():
        bench = Bench()
        ids = bench.owe(7)
        async with Liar(lambda sent: "hang" if sent.ids[0] == ids[0] else 200) as liar, sender() as http:
            async with Killed(bench.lane(http, liar.url)):
                await until(lambda: len(liar.sent) == 1)
            ids += bench.owe(30)
            liar.answer = lambda _sent: 200
            async with Running(bench.lane(http, liar.url)):
                await until(lambda: bench.balance(delivered("crm")) == 37)
        assert liar.sent[0].key == liar.sent[1].key
        assert liar.sent[0].ids == liar.sent[1].ids
        assert liar.ids == ids

    asyncio.run(story())


def test_a_receipt_without_settlement_is_settled_and_not_sent_again():
    class Crash(Exception):
        pass

    async def story():
        bench = Bench()
        ids = bench.owe(5)

        def crash(point: str) -> None:
            if point == "delivery.after_receipt":
                raise Crash

        bench.fault = crash
        async with Liar() as liar, sender() as http:
            lane = bench.lane(http, liar.url)
            outcome = await asyncio.gather(lane.run(), return_exceptions=True)
            assert isinstance(outcome[0], Crash)
            assert bench.balance(delivered("crm")) == 0
            bench.fault = lambda _point: None
            async with Running(bench.lane(http, liar.url)):
                ids += bench.owe(1)
                await until(lambda: bench.balance(delivered("crm")) == 6)
        assert liar.ids == ids

    asyncio.run(story())


def test_what_retention_removed_is_booked_as_expired():
    async def story():
        bench = Bench()
        bench.owe(5)
        async with Liar() as liar, sender() as http:
            async with Running(bench.lane(http, liar.url)):
                await until(lambda: bench.balance(delivered("crm")) == 5)
            bench.owe(3)
            bench.owe(4)
            kept = bench.owe(2)
            bench.log.retain("owed", 0, floor=11, before=0, size=1)
            async with Running(bench.lane(http, liar.url)):
                await until(lambda: bench.balance(delivered("crm")) == 7)
        assert liar.ids[5:] == kept
        assert bench.balance(expired("crm")) == 7
        assert bench.balance(owed("crm")) == -14
        losses = [row for frame in bench.receipts() for row in frame.rows if row.verdict == "expired"]
        assert [(row.reason, row.first, row.last) for row in losses] == [("log_retention", 5, 11)]

    asyncio.run(story())


def test_the_oldest_expire_beyond_the_budget():
    async def story():
        bench = Bench()
        bench.owe(3, at=1_000_000)
        fresh = bench.owe(3)
        async with (
            Liar() as liar,
            sender() as http,
            Running(bench.lane(http, liar.url, on_overflow="expire", backlog_hours=1.0)),
        ):
            await until(lambda: bench.balance(delivered("crm")) == 3)
        assert liar.ids == fresh
        assert bench.balance(expired("crm")) == 3

    asyncio.run(story())


def test_nothing_expires_unless_asked():
    async def story():
        bench = Bench()
        bench.owe(3, at=1_000_000)
        async with Liar() as liar, sender() as http, Running(bench.lane(http, liar.url, backlog_hours=1.0)):
            await until(lambda: bench.balance(delivered("crm")) == 3)

    asyncio.run(story())


def test_a_budget_of_events_keeps_the_newest():
    async def story():
        bench = Bench()
        ids = bench.owe(30)
        config = {"on_overflow": "expire", "backlog_events": 10, "backlog_hours": None}
        async with Liar() as liar, sender() as http, Running(bench.lane(http, liar.url, **config)):
            await until(lambda: bench.balance(delivered("crm")) + bench.balance(expired("crm")) == 30)
        assert liar.ids == ids[20:]

    asyncio.run(story())


def test_a_lane_answers_how_it_fares():
    async def story():
        bench = Bench()
        bench.owe(3)
        async with Liar(lambda _sent: 500) as liar, sender() as http, Running(bench.lane(http, liar.url)) as lane:
            await until(lambda: lane.health()["state"] in {"backing off", "circuit open"})
            await until(lambda: lane.health()["last_answer"] == "500 server_error")
            health = lane.health()
            assert health["lag_events"] == 3
            assert health["problem"] == "server_error"
            liar.answer = lambda _sent: 200
            await until(lambda: lane.health()["lag_events"] == 0)
            assert lane.health()["state"] == "running"
        assert bench.balance(rejected("crm")) == 0

    asyncio.run(story())
