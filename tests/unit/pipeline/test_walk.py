from collections.abc import Sequence

from msgspec import structs

from customhouse.model.event import Event
from customhouse.model.outcome import Drop, Outcome, Quarantine, Scope
from customhouse.pipeline.walk import walk
from customhouse.testing.builders import event

SCOPE = Scope(now=1)


class Marking:
    name = "marking"
    writes = frozenset({"flags"})

    def judge(self, events: Sequence[Event], scope: Scope) -> list[Outcome]:
        return [structs.replace(e, flags=(*e.flags, "seen")) for e in events]


class Sorting:
    name = "sorting"
    writes = frozenset[str]()

    def judge(self, events: Sequence[Event], scope: Scope) -> list[Outcome]:
        fates: dict[str, Outcome] = {"drop": Drop("duplicate"), "hold": Quarantine("schema_violation", "no")}
        return [fates.get(e.name, e) for e in events]


class Fragile:
    name = "fragile"
    writes = frozenset[str]()

    def judge(self, events: Sequence[Event], scope: Scope) -> list[Outcome]:
        if any(e.name == "poison" for e in events):
            raise ZeroDivisionError("a secret value")
        return list(events)


class Forgetful:
    name = "forgetful"
    writes = frozenset[str]()

    def judge(self, events: Sequence[Event], scope: Scope) -> list[Outcome]:
        return [e for e in events if e.name != "lost"]


class Doubting:
    """Drops the second of a pair until the first turns out to lie in quarantine."""

    name = "doubting"
    writes = frozenset[str]()

    def judge(self, events: Sequence[Event], scope: Scope) -> list[Outcome]:
        return [Drop("duplicate") if at and e.message_id == "same" else e for at, e in enumerate(events)]

    def reconsider(self, events: Sequence[Event], outcomes: Sequence[Outcome], scope: Scope) -> list[int]:
        if isinstance(outcomes[0], Quarantine) and isinstance(outcomes[1], Drop):
            return [1]
        return []


def told(stages, events):
    seen: list[tuple[str, int]] = []
    verdicts = walk(stages, events, SCOPE, lambda name, seconds, count: seen.append((name, count)))
    return verdicts, seen


def test_an_event_that_passes_every_stage_carries_what_they_wrote():
    verdicts, seen = told([Marking(), Sorting()], [event(name="go")])
    assert verdicts[0].outcome.flags == ("seen",)
    assert verdicts[0].stage == "sorting"
    assert seen == [("marking", 1), ("sorting", 1)]


def test_who_leaves_early_is_not_asked_again_and_the_order_is_kept():
    events = [event(name=name) for name in ("a", "drop", "b", "hold", "c")]
    verdicts, seen = told([Sorting(), Marking()], events)
    assert [v.stage for v in verdicts] == ["marking", "sorting", "marking", "sorting", "marking"]
    assert [v.outcome.name for v in verdicts if isinstance(v.outcome, Event)] == ["a", "b", "c"]
    assert seen == [("sorting", 5), ("marking", 3)]


def test_a_stage_that_fails_harms_one_event_and_tells_no_secret():
    verdicts, _ = told([Fragile(), Marking()], [event(name="a"), event(name="poison"), event(name="b")])
    assert [isinstance(v.outcome, Event) for v in verdicts] == [True, False, True]
    assert Quarantine("poison", "ZeroDivisionError in stage fragile") == verdicts[1].outcome


def test_a_stage_that_answers_too_few_loses_nobody():
    verdicts, _ = told([Forgetful()], [event(name="a"), event(name="lost"), event(name="b")])
    assert [isinstance(v.outcome, Event) for v in verdicts] == [True, False, True]
    assert verdicts[1].outcome.reason == "poison"


def test_a_verdict_that_rested_on_a_neighbour_is_taken_again():
    events = [event(name="hold", message_id="same"), event(name="fine", message_id="same")]
    verdicts, _ = told([Doubting(), Sorting()], events)
    assert isinstance(verdicts[0].outcome, Quarantine)
    assert isinstance(verdicts[1].outcome, Event)


def test_nothing_walks_nowhere():
    assert told([Marking()], []) == ([], [])
