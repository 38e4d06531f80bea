import pytest

from customhouse.model.event import Event, Violation
from customhouse.model.outcome import Outcome, Quarantine, Scope
from customhouse.plan.definition import Definition
from customhouse.plan.plan import Plan
from customhouse.stages.validation import PlanConfig, Validation
from customhouse.testing.builders import event

RELEASE = 7


def definition(**changes) -> Definition:
    usual = {"event": "Order Completed", "version": "1.2.3", "owner": "o", "description": "d"}
    return Definition(**{**usual, **changes})


def judge(subject: Event, *definitions: Definition, **policy) -> Outcome:
    stage = Validation(Plan.of(definitions), RELEASE, PlanConfig(**policy))
    (outcome,) = stage.judge([subject], Scope(now=0))
    return outcome


def passed(outcome: Outcome) -> Event:
    assert isinstance(outcome, Event)
    return outcome


TOTAL = {"properties": {"total": {"type": "number"}}, "required": ("total",)}


def test_an_event_as_agreed_carries_release_and_version():
    outcome = passed(judge(event(properties={"total": 1}), definition(**TOTAL)))

    assert (outcome.plan_release, outcome.schema_version, outcome.violations) == (RELEASE, "1.2.3", ())


def test_an_event_that_breaks_its_schema_goes_to_quarantine_with_every_violation():
    outcome = judge(event(properties={"total": "x", "b": 1}), definition(**TOTAL, additional_properties=False))

    assert outcome == Quarantine(
        "schema_violation", "b: is not allowed by the plan; total: expected number, came string"
    )


def test_or_is_annotated():
    outcome = passed(judge(event(properties={}), definition(**TOTAL), on_violation="annotate"))

    assert (outcome.plan_release, outcome.schema_version) == (RELEASE, "1.2.3")
    assert outcome.violations == (Violation("total", "required", "is required and missing"),)


@pytest.mark.parametrize(
    ("policy", "violations"),
    [("allow", ()), ("annotate", (Violation("", "unplanned", "the tracking plan does not know this event"),))],
)
def test_an_unknown_track_event_may_pass(policy, violations):
    outcome = passed(judge(event(name="Unheard Of"), definition(), unknown_events=policy))

    assert (outcome.plan_release, outcome.schema_version, outcome.violations) == (RELEASE, "", violations)


def test_or_go_to_quarantine():
    assert judge(event(name="Unheard Of"), definition(), unknown_events="quarantine") == Quarantine(
        "event_unplanned", "release 7 of the plan has no such event"
    )


@pytest.mark.parametrize("kind", ["identify", "page", "screen", "group", "alias"])
def test_other_types_without_an_entry_are_not_unknown(kind):
    outcome = passed(judge(event(type=kind), unknown_events="quarantine"))

    assert (outcome.plan_release, outcome.violations) == (RELEASE, ())


def test_pages_have_entries_by_name_and_one_for_the_rest():
    named = definition(type="page", event="Home", version="1.0.0")
    rest = definition(type="page", event="", version="2.0.0")

    assert passed(judge(event(type="page", name="Home"), named, rest)).schema_version == "1.0.0"
    assert passed(judge(event(type="page", name="Else"), named, rest)).schema_version == "2.0.0"
    assert passed(judge(event(type="page", name="Else"), named)).schema_version == ""
    assert passed(judge(event(type="track", name="Else"), named, rest)).schema_version == ""


@pytest.mark.parametrize("kind", ["identify", "group"])
def test_traits_are_judged_where_there_are_traits(kind):
    entry = definition(type=kind, event="", properties={"email": {"type": "string"}}, required=("email",))

    assert isinstance(judge(event(type=kind, traits={"email": "a@b.c"}), entry), Event)
    assert judge(event(type=kind, properties={"email": "a@b.c"}), entry) == Quarantine(
        "schema_violation", "email: is required and missing"
    )


@pytest.mark.parametrize(
    ("word", "lacking", "having"),
    [
        ("user_id", {"user_id": None}, {"user_id": "u"}),
        ("user_id", {"user_id": ""}, {"user_id": "u"}),
        ("anonymous_id", {"anonymous_id": None}, {"anonymous_id": "a"}),
        ("group_id", {"group_id": None}, {"group_id": "g"}),
        ("previous_id", {"previous_id": None}, {"previous_id": "p"}),
        ("timestamp", {"original_at": None}, {"original_at": 0}),
        ("context.page.url", {"context": {"page": {"path": "/"}}}, {"context": {"page": {"url": "https://a.b"}}}),
        ("context.page.url", {"context": {"page": {"url": None}}}, {"context": {"page": {"url": 0}}}),
        ("context.page.url", {"context": {"page": "x"}}, {"context": {"page": {"url": False}}}),
        ("context.session_id", {"context": b"not json"}, {"context": {"session_id": 12}}),
    ],
)
def test_what_an_entry_requires(word, lacking, having):
    entry = definition(requires=(word,))

    assert judge(event(**lacking), entry) == Quarantine("requirement_missing", f"{word}: is required and missing")
    assert isinstance(judge(event(**having), entry), Event)


def test_a_missing_requirement_comes_first_and_hides_nothing():
    outcome = judge(event(user_id=None, properties={}), definition(**TOTAL, requires=("user_id",)))

    assert outcome == Quarantine(
        "requirement_missing", "user_id: is required and missing; total: is required and missing"
    )


NASTY = {
    "a number beyond floats": b'{"total":1e999}',
    "nesting": b'{"total":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "half a surrogate": b'{"total":"\\ud800"}',
    "not JSON": b'{"total":NaN}',
    "not UTF-8": b'{"total":"\xff"}',
    "nothing": b"",
    "a very long number": b'{"total":' + b"9" * 20_000 + b"}",
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY.keys())
def test_nasty_json_is_quarantined_and_raises_nothing(text):
    outcome = judge(event(properties=text), definition(**TOTAL))

    assert isinstance(outcome, Quarantine)
    assert outcome.reason == "event_unreadable"


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY.keys())
def test_and_is_not_even_looked_at_without_a_schema(text):
    assert isinstance(judge(event(properties=text), definition()), Event)
    assert isinstance(judge(event(properties=text)), Event)


def test_properties_that_are_no_object_break_the_schema():
    assert judge(event(properties=b"[1]"), definition(**TOTAL)) == Quarantine(
        "schema_violation", "expected object, came array"
    )


def test_no_value_shows_in_an_explanation():
    schema = {"properties": {"email": {"format": "email"}, "plan": {"enum": ["free"]}, "age": {"maximum": 1}}}
    private = {"email": "anna at home", "plan": "anna", "age": 424242, "anna@home": 1}
    outcome = judge(event(properties=private), definition(**schema, additional_properties=False))

    assert isinstance(outcome, Quarantine)
    assert outcome.detail.count(";") == 3
    assert "anna" not in outcome.detail
    assert "424242" not in outcome.detail
