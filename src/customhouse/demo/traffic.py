"""
All visits together, as one stream of calls in the order in which they happen. Pure: a seed and a start make the stream.

Many people are in the shop at once, and their steps fall between one another. Natural pauses are far too long to show
anything, so the live stream keeps the order they give and spaces the calls evenly at the wanted rate. A stream of
history keeps the pauses and spreads the visits over past days, fewer by night.
"""

import math
import random
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from msgspec import Struct

from customhouse.demo.marketing import arrive
from customhouse.demo.people import Population
from customhouse.demo.visits import EVENTS_PER_VISIT, Step, Visit, World

_SECOND = 1_000_000
_DAY = 86_400.0
_EVENING = 19 * 3600.0
"""When the shop is busiest, in seconds of the day in UTC."""
_LIVE_GAP = 17.0
"""Seconds from one visit to the next, before they are compressed: so that about sixty people are in the shop."""


class Timing(Struct, frozen=True):
    """When it all happens. `start` in microseconds since 1970."""

    start: int
    rate: float
    """Calls per second."""
    history: float = 0.0
    """Seconds before `start` over which the calls are spread; 0 for calls that happen now."""
    count: int = 0
    """How many calls fill the history."""


class Happening(Struct):
    """One call, by whom and when."""

    nth: int
    at: int
    """Microseconds since 1970."""
    step: Step
    visit: Visit
    last: bool
    """Whether the visit ends with it."""


class Habits(Struct, frozen=True):
    """What somebody else decides about the visits."""

    families: tuple[str, ...] = ("segment", "rudderstack")
    """Whose SDKs the shop's pages use."""
    unlinked: Callable[[], bool] = lambda: False
    """Says of a sign-up whether the browser is never told of it."""


def traffic(seed: int, timing: Timing, habits: Habits = Habits()) -> Iterator[Happening]:  # noqa: B008 (frozen)
    """
    Yield calls for ever; of history, yield `timing.count` of them.

    The same seed brings the same people to do the same things. Numbers of sessions, carts and orders depend on the
    start too, so that a second run is not a repetition of the first.
    """
    rng = random.Random(f"{seed}")  # noqa: S311  # a shop, not a secret
    ids = random.Random(f"{seed} {timing.start}")  # noqa: S311  # as above
    world = World(rng, ids, habits.unlinked)
    population = Population(rng, habits.families)
    for nth, (at, step, visit, last) in enumerate(_crowd(world, population, timing)):
        if timing.history and nth >= timing.count:
            return
        yield Happening(nth, at(nth), step, visit, last)


_Moment = Callable[[int], int]


def _crowd(world: World, population: Population, timing: Timing) -> Iterator[tuple[_Moment, Step, Visit, bool]]:
    """Yield the steps of everybody who is in the shop, in order of their natural times."""
    waiting: list[tuple[float, int, Step, Iterator[Step], Visit]] = []
    door, count = 0.0, 0
    while True:
        while not waiting or door <= waiting[0][0]:
            visit = _visit(world, population)
            visit.now = _moment(timing, door)(0)
            steps = iter(visit)
            heappush(waiting, (door, count, next(steps), steps, visit))
            door, count = door + _gap(world.rng, timing, door), count + 1
        natural, order, step, steps, visit = heappop(waiting)
        moment = _moment(timing, natural)
        visit.now = moment(0)
        following = next(steps, None)
        if following is None:
            visit.person.visiting = False
        else:
            heappush(waiting, (natural + following.pause, order, following, steps, visit))
        yield moment, step, visit, following is None


def _visit(world: World, population: Population) -> Visit:
    person = population.visitor()
    person.visiting = True
    return Visit(person, world.rng.choice(person.devices), arrive(world.rng), world)


def _moment(timing: Timing, natural: float) -> _Moment:
    """Return what tells the time of the n-th call, which lies at a natural time."""
    if not timing.history:
        return lambda nth: timing.start + int(nth * _SECOND / timing.rate)
    at = timing.start - round((timing.history - min(natural, timing.history)) * _SECOND)
    return lambda _nth: at


def _gap(rng: random.Random, timing: Timing, now: float) -> float:
    """Return the seconds until the next visit begins."""
    if not timing.history:
        return rng.expovariate(1 / _LIVE_GAP)
    usual = 0.97 * timing.history * EVENTS_PER_VISIT / max(1, timing.count)
    # By night a third of the usual, in the evening the more.
    clock = timing.start / _SECOND - timing.history + now
    busy = 1 + 0.65 * math.cos(2 * math.pi * (clock - _EVENING) / _DAY)
    return rng.expovariate(1 / usual) / busy
