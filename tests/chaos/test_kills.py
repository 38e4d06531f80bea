"""Any process may die at any moment: what was acknowledged arrives all the same, once, in order, and the books say so."""

import random
import time
from itertools import zip_longest

import pytest
from breaking import Breaker
from load import Load
from lying import LyingServer
from oracle import judge

POINTS = {
    "collector": (
        "collector.before_append", "log.before_write:received", "log.after_write:received",
        "log.before_sync:received", "log.after_sync:received", "collector.after_append", "collector.before_ack",
    ),
    "pipeline": (
        "pipeline.before_owed", "log.after_write:owed", "log.before_sync:owed", "log.after_sync:owed",
        "pipeline.after_owed", "state.before_commit:pipeline", "state.after_commit:pipeline", "pipeline.after_settle",
    ),
    "delivery": (
        "delivery.before_send:hook", "delivery.after_send:hook", "delivery.before_receipt", "log.before_sync:receipts",
        "delivery.after_receipt", "state.before_commit:delivery", "state.after_commit:delivery",
        "delivery.after_settle", "lake.before_load", "lake.after_load", "lake.after_settle", "trail.after_store",
    ),
}  # fmt: skip  # in the order they are passed in
_NAMED = sum(map(len, POINTS.values()))
_ROUNDS_PER_CUT = 4


def test_kills_at_every_named_point(house_of, seed, report):
    chance = random.Random(seed)
    with LyingServer() as hook:
        house = house_of({"hook": hook}, partitions=2)
        breaker = Breaker(house)
        breaker.start()
        with Load(house.url, seed) as load:
            for nth, points in enumerate(zip_longest(*POINTS.values())):
                wanted = dict(zip(POINTS, points, strict=True))
                breaker.die_at({k: f"{p}=kill@{chance.randint(1, 3)}" for k, p in wanted.items() if p})
                if nth % _ROUNDS_PER_CUT == _ROUNDS_PER_CUT - 1:
                    (breaker.cut_power if nth // _ROUNDS_PER_CUT % 2 else breaker.kill_supervisor)()
        report(f"{breaker.kills} kills, {judge(house, load.journal, hook=hook)}")
        house.stop()


def test_kills_when_segments_roll_over(house_of, seed, report):
    with LyingServer() as hook:
        house = house_of({"hook": hook})
        breaker = Breaker(house)
        breaker.start()
        with Load(house.url, seed + 1, senders=2, pause=0.01) as load:
            house.wait_until(load.acknowledged, 30, "something in the first segment")
            load.large.set()
            breaker.die_at({"collector": "log.new_segment:received=kill", "pipeline": "log.new_segment:owed=kill"})
            # A segment that was given up is followed by another at the same place: die between the two.
            breaker.die_at({"collector": "log.before_sync:received=eio;log.new_segment:received=kill"})
            breaker.die_at({"pipeline": "log.before_sync:owed=eio;log.new_segment:owed=kill"})
            load.large.clear()
        report(f"{breaker.kills} kills, {judge(house, load.journal, hook=hook)}")
        house.stop()


def test_kills_at_random(house_of, seed, wanted, report):
    kills, seconds = wanted
    chance, until = random.Random(seed + 2), time.monotonic() + max(30.0, seconds - 190.0)
    with LyingServer() as hook:
        house = house_of({"hook": hook}, partitions=chance.choice((1, 2, 3)))
        breaker = Breaker(house)
        breaker.start()
        with Load(house.url, seed + 2) as load:
            while breaker.kills < max(8, kills - _NAMED) and time.monotonic() < until:
                time.sleep(chance.uniform(0.0, 1.0))
                _strike(breaker, chance)
        report(f"{breaker.kills} kills, {judge(house, load.journal, hook=hook)}")
        house.stop()


def _strike(breaker, chance):
    """Break something, anything."""
    what = chance.random()
    if what < 0.1:
        breaker.cut_power()
    elif what < 0.2:
        breaker.kill_supervisor()
    elif what < 0.5:
        kind = chance.choice(list(POINTS))
        breaker.die_at({kind: f"{chance.choice(POINTS[kind])}=kill@{chance.randint(1, 5)}"})
    else:
        breaker.kill(chance.choice([*POINTS, "console"]))


def test_the_oracle_sees_what_is_missing(house_of, seed):
    """An oracle that finds nothing must be one that could have."""
    with LyingServer() as hook:
        house = house_of({"hook": hook})
        house.start()
        with Load(house.url, seed + 3, senders=2) as load:
            house.wait_until(lambda: load.acknowledged() > 200, 30, "some events")
        judge(house, load.journal, hook=hook)
        lost = "00000000-0000-4000-8000-000000000000"
        some = next(each for each in load.journal.sent.values() if not each.bad)
        load.journal.sent[lost] = some
        load.journal.acknowledged.add(lost)
        with pytest.raises(AssertionError, match="acknowledged, but not in the lake: 1"):
            judge(house, load.journal, hook=hook)
        house.stop()
