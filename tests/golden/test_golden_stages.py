"""
Cases of single stages, to be read: `why.txt` says the point, `in.json` what comes in, `out.json` what becomes of it.

An event says only what differs from the usual one of `customhouse.testing.builders`; an outcome says only what changed,
or where the event ended. Times are ISO 8601 in UTC; the usual event is received at noon of 2026-01-01.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from customhouse.model.contracts import Stage
from customhouse.model.event import Event
from customhouse.model.outcome import Outcome, Scope
from customhouse.plan.definition import read
from customhouse.plan.plan import Plan
from customhouse.settings import decode
from customhouse.stages.clock import Clock, ClockConfig
from customhouse.stages.routing import RouteConfig, Routing
from customhouse.stages.validation import PlanConfig, Validation
from customhouse.testing.builders import RECEIVED_AT, event

FOLDER = Path(__file__).parent / "stages"
CASES = sorted(path.parent for path in FOLDER.glob("*/*/in.json"))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decoded(kind: Any, data: object) -> Any:
    value, found = decode(kind, data, "config")
    assert found == []
    return value


def clock(case: dict[str, Any]) -> Stage:
    return Clock(decoded(ClockConfig, case["config"]))


def validation(case: dict[str, Any]) -> Stage:
    definitions = []
    for data in case["plan"]:
        definition, found = read(data, "plan")
        assert found == []
        definitions.append(definition)
    return Validation(Plan.of(definitions), case["release"], decoded(PlanConfig, case["config"]))


def routing(case: dict[str, Any]) -> Stage:
    return Routing(decoded(list[RouteConfig], case["config"]), case["destinations"])


STAGES = {"clock": clock, "validation": validation, "routing": routing}


def micros(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def built(changes: dict[str, Any]) -> Event:
    times = {name: micros(value) for name, value in changes.items() if name.endswith("_at") and value}
    flags = {"flags": tuple(changes["flags"])} if "flags" in changes else {}
    return event(**(changes | times | flags))


def shown(before: Event, after: Outcome) -> dict[str, Any]:
    if not isinstance(after, Event):
        return {"ends": type(after).__name__.lower(), "reason": after.reason, "detail": after.detail}
    changed: dict[str, Any] = {}
    for name in Event.__struct_fields__:
        value = getattr(after, name)
        if value == getattr(before, name):
            continue
        if name.endswith("_at"):
            value = (EPOCH + timedelta(microseconds=value)).isoformat()
        elif name == "violations":
            value = [f"{violation.path} | {violation.rule} | {violation.message}" for violation in value]
        changed[name] = list(value) if isinstance(value, tuple) else value
    return changed


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_case(case):
    given = json.loads((case / "in.json").read_text())
    events = [built(changes) for changes in given["events"]]
    outcomes = STAGES[case.parent.name](given).judge(events, Scope(now=RECEIVED_AT))

    assert [shown(*pair) for pair in zip(events, outcomes, strict=True)] == json.loads((case / "out.json").read_text())
    assert (case / "why.txt").read_text().strip()


def test_there_are_cases_of_every_stage_here():
    assert {case.parent.name for case in CASES} == set(STAGES)
