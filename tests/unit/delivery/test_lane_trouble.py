import asyncio

from liar import Liar
from workbench import Bench, Killed, Running, sender, until

from customhouse.delivery.main import Delivery
from customhouse.model.errors import Unavailable
from customhouse.model.posting import delivered, dropped, owed, rejected
from customhouse.telemetry.logs import open_log


def poison(*ids: str, answer=500):
    """Refuse every parcel that holds one of these events."""
    return lambda sent: answer if set(ids) & set(sent.ids) else 200


def refused_for_good(*ids: str):
    return poison(*ids, answer=(422, {}, b'{"why": "no such person"}'))


def test_trouble_of_the_destination_only_delays():
    async def story():
        bench = Bench()
        ids = bench.owe(12)
        answers = iter([503, "reset", 500, (429, {"retry-after": "0"}, b""), 502, 503, "reset"])
        async with (
            Liar(lambda _sent: next(answers, 200)) as liar,
            sender() as http,
            Running(bench.lane(http, liar.url, breaker_failures=2)),
        ):
            await until(lambda: bench.balance(delivered("crm")) == 12)
        assert liar.ids == ids
        assert bench.rejected() == []

    asyncio.run(story())


def test_an_outage_sets_aside_one_event_at_most():
    async def story():
        bench = Bench()
        ids = bench.owe(100)
        async with Liar(lambda _sent: 503) as liar, sender() as http, Running(bench.lane(http, liar.url)):
            await until(lambda: len(liar.sent) > 40)
            assert len(bench.retrying()) <= 1
            liar.answer = lambda _sent: 200
            await until(lambda: bench.balance(delivered("crm")) == 100)
        assert sorted(liar.ids) == sorted(ids)
        assert bench.balance(rejected("crm")) == 0

    asyncio.run(story())


def test_a_poison_event_ends_alone_and_the_others_flow():
    async def story():
        bench = Bench()
        ids = bench.owe(30)
        async with (
            Liar(poison(ids[3])) as liar,
            sender() as http,
            Running(bench.lane(http, liar.url, order="none")) as lane,
        ):
            await until(lambda: bench.balance(delivered("crm")) == 29)
            assert [held.event.message_id for held in bench.retrying()] == [ids[3]]
            assert lane.health()["retrying"] == 1
            liar.answer = lambda _sent: 200
            await until(lambda: bench.balance(delivered("crm")) == 30)
            assert bench.retrying() == []
        assert sorted(liar.ids) == sorted(ids)
        rows = [row for frame in bench.receipts() for row in frame.rows if row.id]
        assert {row.verdict for row in rows} == {"retry", "delivered"}

    asyncio.run(story())


def test_order_per_key_holds_behind_a_poison_event():
    async def story():
        bench = Bench()
        ids = bench.owe(keys=["ada", "bob", "ada", "cleo", "ada", "bob"])
        more = bench.owe(keys=["ada", "dora"])
        adas = [ids[0], ids[2], ids[4], more[0]]
        async with Liar(poison(ids[0])) as liar, sender() as http:
            async with Running(bench.lane(http, liar.url, order="key", batch_events=6)):
                await until(lambda: bench.balance(delivered("crm")) == 4)
                assert [held.event.message_id for held in bench.retrying()] == adas
            async with Running(bench.lane(http, liar.url, order="key", batch_events=6)):
                more += bench.owe(keys=["ada"])
                liar.answer = lambda _sent: 200
                await until(lambda: bench.balance(delivered("crm")) == 9)
        assert [each for each in liar.ids if each in {*adas, more[2]}] == [*adas, more[2]]
        assert len(liar.ids) == 9

    asyncio.run(story())


def test_killed_while_hunting_a_culprit_nothing_is_lost_or_renamed():
    async def story():
        bench = Bench()
        ids = bench.owe(keys=["ada", "bob", "cleo", "ada", "dora", "ada", "eve", "bob"])
        async with Liar(poison(ids[3])) as liar, sender() as http:
            for requests in (2, 4, 5, 7, 9):
                async with Killed(bench.lane(http, liar.url)):
                    await until(lambda least=requests: len(liar.sent) >= least)
            liar.answer = lambda _sent: 200
            async with Running(bench.lane(http, liar.url)):
                await until(lambda: bench.balance(delivered("crm")) == 8)
        keys = {}
        for sent in liar.taken:
            for each in sent.ids:
                keys.setdefault(each, set()).add(sent.key)
        assert {each: len(found) for each, found in keys.items()} == dict.fromkeys(ids, 1)
        order = list(dict.fromkeys(liar.ids))
        for mine in ([ids[0], ids[3], ids[5]], [ids[1], ids[7]]):
            assert [each for each in order if each in mine] == mine

    asyncio.run(story())


def test_only_the_culprits_of_a_refused_parcel_are_rejected():
    async def story():
        bench = Bench()
        ids = bench.owe(20)
        async with (
            Liar(refused_for_good(ids[2], ids[13])) as liar,
            sender() as http,
            Running(bench.lane(http, liar.url)),
        ):
            await until(lambda: bench.balance(delivered("crm")) + bench.balance(rejected("crm")) == 20)
        assert [held.event.message_id for held in bench.rejected()] == [ids[2], ids[13]]
        assert {held.reason for held in bench.rejected()} == {"destination_refused"}
        assert "no such person" in bench.rejected()[0].answer
        assert bench.balance(owed("crm")) == -20

    asyncio.run(story())


def test_single_events_may_be_refused_or_asked_for_again():
    async def story():
        bench = Bench()
        ids = bench.owe(5)
        words = b'{"errors":[{"index":1,"message":"no consent"},{"index":3,"retry":true,"message":"busy"}]}'
        answers = iter([(200, {}, words)])
        async with (
            Liar(lambda _sent: next(answers, 200)) as liar,
            sender() as http,
            Running(bench.lane(http, liar.url)),
        ):
            await until(lambda: bench.balance(delivered("crm")) == 4)
        assert [held.event.message_id for held in bench.rejected()] == [ids[1]]
        assert [sent.ids for sent in liar.sent] == [ids, [ids[3]]]

    asyncio.run(story())


def test_refused_credentials_park_the_lane_and_burn_nothing():
    async def story():
        bench = Bench()
        ids = bench.owe(4)
        async with (
            Liar(lambda _sent: 401) as liar,
            sender() as http,
            Running(bench.lane(http, liar.url, deadline_hours=1e-9)) as lane,
        ):
            await until(lambda: lane.health()["state"] == "parked")
            assert len(liar.sent) == 1
            liar.answer = lambda _sent: 200
            lane.go_on()
            await until(lambda: bench.balance(delivered("crm")) == 4)
            assert lane.health()["state"] == "running"
        assert liar.ids == ids

    asyncio.run(story())


def test_a_parked_lane_tries_again_by_itself():
    async def story():
        bench = Bench()
        bench.owe(4)
        answers = iter([403, 403])
        async with (
            Liar(lambda _sent: next(answers, 200)) as liar,
            sender() as http,
            Running(bench.lane(http, liar.url, parked_probe_seconds=0.01)),
        ):
            await until(lambda: bench.balance(delivered("crm")) == 4)
        assert len(liar.sent) == 3

    asyncio.run(story())


def test_the_deadline_ends_what_cannot_be_delivered():
    async def story():
        bench = Bench()
        ids = bench.owe(3)
        async with (
            Liar(lambda _sent: "reset") as liar,
            sender() as http,
            Running(bench.lane(http, liar.url, deadline_hours=0.2 / 3600)),
        ):
            await until(lambda: bench.balance(rejected("crm")) == 3)
        assert [held.event.message_id for held in bench.rejected()] == ids
        assert {held.reason for held in bench.rejected()} == {"delivery_deadline"}

    asyncio.run(story())


def test_an_event_in_retry_by_itself_has_the_same_deadline():
    async def story():
        bench = Bench()
        ids = bench.owe(6)
        async with (
            Liar(poison(ids[0])) as liar,
            sender() as http,
            Running(bench.lane(http, liar.url, deadline_hours=0.2 / 3600)),
        ):
            await until(lambda: bench.balance(rejected("crm")) == 1)
        assert bench.rejected()[0].event.message_id == ids[0]
        assert bench.retrying() == []

    asyncio.run(story())


def test_a_lane_with_too_many_events_in_retry_stops_advancing():
    async def story():
        bench = Bench()
        ids = bench.owe(12)
        words = b'{"errors":[{"index":0,"retry":true},{"index":1,"retry":true}]}'
        async with (
            Liar(lambda sent: (200, {}, words) if len(sent.ids) > 1 else 500) as liar,
            sender() as http,
            Running(bench.lane(http, liar.url, retrying_events=4, batch_events=4, order="none")) as lane,
        ):
            await until(lambda: lane.health()["state"] == "full")
            assert len(bench.retrying()) == 4
            assert bench.mark().seen == 8
            liar.answer = lambda _sent: 200
            await until(lambda: bench.balance(delivered("crm")) == 12)
        assert set(liar.ids) == set(ids)

    asyncio.run(story())


def test_a_destination_that_hangs_is_cut_off_and_tried_again():
    async def story():
        bench = Bench()
        ids = bench.owe(3)
        answers = iter(["hang"])
        async with (
            Liar(lambda _sent: next(answers, 200)) as liar,
            sender() as http,
            Running(bench.lane(http, liar.url, timeout_seconds=0.1)),
        ):
            await until(lambda: bench.balance(delivered("crm")) == 3)
        assert [sent.ids for sent in liar.sent] == [ids, ids]

    asyncio.run(story())


def test_a_log_that_does_not_answer_delays_and_loses_nothing():
    async def story():
        bench = Bench()
        ids = bench.owe(3)
        failures = iter(range(3))

        def fault(point: str) -> None:
            if point == "delivery.before_receipt" and next(failures, None) is not None:
                raise OSError(28, "No space left on device")

        bench.fault = fault
        async with Liar() as liar, sender() as http, Running(bench.lane(http, liar.url)):
            await until(lambda: bench.balance(delivered("crm")) == 3)
        assert liar.ids == ids, "what was delivered is not sent again while its receipt waits"

    asyncio.run(story())


def test_rejected_events_are_replayed_or_discarded():
    async def story():
        bench = Bench()
        ids = bench.owe(6)
        async with Liar(refused_for_good(ids[0], ids[1], ids[2])) as liar, sender() as http:
            lane = bench.lane(http, liar.url)
            delivery = Delivery([lane], lane._settler, open_log("delivery", stream=bench.log_text))
            stop = asyncio.Event()
            running = asyncio.create_task(delivery.run(stop))
            await until(lambda: bench.balance(rejected("crm")) == 3)
            first, second, third = (held.event.id for held in bench.rejected())
            assert await delivery.discard("crm", [first, b"unknown"], bench.now()) == 1
            liar.answer = lambda _sent: 200
            assert await delivery.replay("crm", [second], bench.now()) == 1
            assert await delivery.replay("crm", [second], bench.now()) == 0
            await until(lambda: bench.balance(delivered("crm")) == 4)
            assert [held.event.id for held in bench.rejected()] == [third]
            assert await delivery.replay("crm", None, bench.now()) == 1
            await until(lambda: bench.balance(delivered("crm")) == 5)
            assert await delivery.replay("nobody", None, bench.now()) == 0
            stop.set()
            await running
        assert bench.balance(rejected("crm")) == 0
        assert bench.balance(dropped("discarded")) == 1
        assert bench.balance(owed("crm")) == -6

    asyncio.run(story())


def test_the_receipts_say_nothing_the_state_cannot_be_rebuilt_from():
    async def story():
        bench = Bench()
        ids = bench.owe(15)
        async with Liar(poison(ids[1])) as liar, sender() as http, Running(bench.lane(http, liar.url)):
            await until(lambda: bench.balance(delivered("crm")) == 14)
        again = Bench()
        again.log = bench.log
        again.settler()
        assert again.state.counters("books") == bench.state.counters("books")
        assert again.retrying() == bench.retrying()
        assert again.mark() == bench.mark()

    asyncio.run(story())


def test_a_state_that_fails_after_the_receipt_catches_up():
    async def story():
        bench = Bench()
        settler = bench.settler()
        failures = iter(range(1))

        def fault(point: str) -> None:
            if point == "delivery.after_receipt" and next(failures, None) is not None:
                raise Unavailable("the disk is full")

        bench.fault = fault
        bench.owe(20)
        async with Liar() as liar, sender() as http, Running(bench.lane(http, liar.url)):
            await until(lambda: bench.balance(delivered("crm")) == 20)
        assert len(liar.ids) == 20
        assert settler.recover() == 0

    asyncio.run(story())
