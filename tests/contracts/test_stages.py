"""What every stage must do, run over all of them. A new stage adds a line to `STAGES`."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from customhouse.model.contracts import Stage
from customhouse.model.event import Event
from customhouse.model.outcome import Drop, Quarantine, Scope, Versions
from customhouse.model.reasons import REASONS
from customhouse.plan.load import load
from customhouse.stages.clock import Clock, ClockConfig
from customhouse.stages.dedupe import Dedupe
from customhouse.stages.routing import PredicateConfig, RouteConfig, Routing, WhenConfig
from customhouse.stages.validation import PlanConfig, Validation
from customhouse.state.ids import MemoryIndex
from customhouse.testing.builders import RECEIVED_AT, event

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "plan"
RULES = (
    RouteConfig(to="lake"),
    RouteConfig(to="hook", when=WhenConfig(properties={"total": PredicateConfig(gt=20)})),
)

STAGES: dict[str, Callable[[], Stage]] = {
    "dedupe": lambda: Dedupe(MemoryIndex(), window_days=7, secret=1),
    "clock": lambda: Clock(ClockConfig()),
    "validation": lambda: Validation(load(SHOP), 3, PlanConfig()),
    "validation, annotating": lambda: Validation(load(SHOP), 3, PlanConfig(on_violation="annotate")),
    "routing": lambda: Routing(RULES, ("lake", "hook")),
}
SCOPE = Scope(now=RECEIVED_AT + 5_000_000, versions=Versions(config=1, plan=3))

EVENTS = [
    event(position=1),
    event(position=2, properties={"total": "free"}),
    event(position=3, name="Unheard Of", user_id=None),
    event(position=4, type="identify", traits={"email": "not an address"}),
    event(position=5, type="page", name="Home", anonymous_id=None),
    event(position=6, original_at=None, sent_at=None, flags=("time_missing",)),
    event(position=7, original_at=RECEIVED_AT + 10**15),
    event(position=8, sent_at=RECEIVED_AT - 10**10, original_at=RECEIVED_AT - 10**10),
    event(position=9, message_id="message-1", fingerprint=9),
    event(position=10, properties=b'{"total":1e999}', context=b"[]"),
    event(position=11, properties=b"", traits=b"\xff", context=b""),
    event(position=12, historical=True, replay_of=4, source="server", order_key=""),
    event(position=13, type="alias", previous_id="old", name=""),
    event(position=14, type="never heard of", name="x" * 40_000),
]


@pytest.fixture(params=STAGES.keys())
def stage(request):
    return STAGES[request.param]()


def test_it_is_a_stage_with_a_name_and_fields_that_exist(stage):
    assert isinstance(stage, Stage)
    assert stage.name
    assert stage.writes <= set(Event.__struct_fields__)


def test_it_answers_every_event_in_order(stage):
    outcomes = stage.judge(EVENTS, SCOPE)

    assert len(outcomes) == len(EVENTS)
    for before, after in zip(EVENTS, outcomes, strict=True):
        assert not isinstance(after, Event) or after.id == before.id


def test_it_changes_only_what_it_says_it_writes(stage):
    for before, after in zip(EVENTS, stage.judge(EVENTS, SCOPE), strict=True):
        if isinstance(after, Event):
            changed = {name for name in Event.__struct_fields__ if getattr(before, name) != getattr(after, name)}
            assert changed <= stage.writes


def test_it_only_ever_adds_flags(stage):
    for before, after in zip(EVENTS, stage.judge(EVENTS, SCOPE), strict=True):
        if isinstance(after, Event):
            assert after.flags[: len(before.flags)] == before.flags
            assert all(REASONS[flag].kind == "flag" for flag in after.flags)


def test_it_does_not_touch_its_inputs(stage):
    events = list(EVENTS)
    before = msgspec.msgpack.encode(events)

    stage.judge(events, SCOPE)

    assert len(events) == len(EVENTS)
    assert msgspec.msgpack.encode(events) == before


def test_it_gives_the_same_answer_twice(stage):
    assert stage.judge(EVENTS, SCOPE) == stage.judge(EVENTS, SCOPE)


def test_it_gives_the_answer_of_another_of_its_kind(request, stage):
    other = STAGES[request.node.callspec.params["stage"]]()

    assert stage.judge(EVENTS, SCOPE) == other.judge(EVENTS, SCOPE)


def test_it_works_on_one_event_and_on_none(stage):
    assert stage.judge([], SCOPE) == []
    for subject in EVENTS:
        assert len(stage.judge([subject], SCOPE)) == 1


def test_it_gives_documented_reasons_of_the_right_kind(stage):
    for outcome in stage.judge(EVENTS, SCOPE):
        if isinstance(outcome, Quarantine):
            assert REASONS[outcome.reason].kind == "quarantined"
            assert outcome.detail
        elif isinstance(outcome, Drop):
            assert REASONS[outcome.reason].kind == "dropped"


def test_every_stage_of_the_catalogue_is_here():
    folder = Path(__file__).parents[2] / "src" / "customhouse" / "stages"
    written = {path.stem for path in folder.glob("*.py")} - {"__init__"}

    assert {make().name for make in STAGES.values()} == written
