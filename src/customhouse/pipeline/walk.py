"""
The walk: a batch through the stages in their order. Every event that enters comes out with exactly one outcome.

The runner, not the stages, keeps this law: a stage that answers with too many or too few, or that fails, is run again
one event at a time, and what still fails is quarantined whole as poison. Nothing a stage does can lose a neighbour.
"""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import cast

from msgspec import Struct

from customhouse.model.contracts import Reconsidering, Stage
from customhouse.model.errors import CustomhouseError
from customhouse.model.event import Event
from customhouse.model.outcome import Outcome, Quarantine, Scope

Observe = Callable[[str, float, int], None]
"""Told the stage's name, the seconds it took and how many events it judged."""


class Verdict(Struct, frozen=True, gc=False):
    """What became of one event, and which stage decided. An event that walked to the end has the last stage's name."""

    outcome: Outcome
    stage: str


def walk(stages: Sequence[Stage], events: Sequence[Event], scope: Scope, observe: Observe) -> list[Verdict]:
    """Return one verdict per event, in order, after reconsidering what rested on a neighbour's fate."""
    verdicts = _once(stages, events, scope, observe)
    doubtful = [(at, stage) for at, stage in enumerate(stages) if isinstance(stage, Reconsidering)]
    for at, stage in doubtful:
        while places := stage.reconsider(events, [verdict.outcome for verdict in verdicts], scope):
            again = _once(stages[at:], [events[place] for place in places], scope, observe)
            for place, verdict in zip(places, again, strict=True):
                verdicts[place] = verdict
    return verdicts


def _once(stages: Sequence[Stage], events: Sequence[Event], scope: Scope, observe: Observe) -> list[Verdict]:
    """Take the events through the stages once."""
    verdicts: list[Verdict | None] = [None] * len(events)
    places: Sequence[int] = range(len(events))
    walking = list(events)
    for stage in stages:
        if not walking:
            break
        began = perf_counter()
        outcomes = _judge(stage, walking, scope)
        observe(stage.name, perf_counter() - began, len(walking))
        if all(type(outcome) is Event for outcome in outcomes):
            walking = cast("list[Event]", outcomes)
            continue
        going_on: list[int] = []
        still: list[Event] = []
        for place, outcome in zip(places, outcomes, strict=True):
            if isinstance(outcome, Event):
                going_on.append(place)
                still.append(outcome)
            else:
                verdicts[place] = Verdict(outcome, stage.name)
        places, walking = going_on, still
    end = stages[-1].name if stages else ""
    for place, event in zip(places, walking, strict=True):
        verdicts[place] = Verdict(event, end)
    return cast("list[Verdict]", verdicts)


def _judge(stage: Stage, events: list[Event], scope: Scope) -> list[Outcome]:
    """Run a stage on a batch; should it fail, on each event by itself."""
    try:
        outcomes = stage.judge(events, scope)
    except CustomhouseError:
        raise  # not the event's doing: the disk, or damage; the batch is tried again or the process ends
    except Exception:  # noqa: BLE001  # whatever a stage's bug is, it harms one event and no other
        return [_judge_alone(stage, event, scope) for event in events]
    if len(outcomes) != len(events):
        return [_judge_alone(stage, event, scope) for event in events]
    return outcomes


def _judge_alone(stage: Stage, event: Event, scope: Scope) -> Outcome:
    """Run a stage on one event; quarantine it when that fails. The exception's text may hold data, so only its kind is told."""
    try:
        outcomes = stage.judge([event], scope)
    except CustomhouseError:
        raise
    except Exception as error:  # noqa: BLE001  # see above
        return Quarantine("poison", f"{type(error).__name__} in stage {stage.name}")
    if len(outcomes) != 1:
        return Quarantine("poison", f"{len(outcomes)} answers from stage {stage.name} for one event")
    return outcomes[0]
