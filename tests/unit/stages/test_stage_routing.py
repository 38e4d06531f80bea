import msgspec
import pytest

from customhouse.model.event import Event
from customhouse.model.outcome import Outcome, Quarantine, Scope
from customhouse.settings import decode
from customhouse.stages.routing import RouteConfig, Routing, check_routes
from customhouse.testing.builders import event

DESTINATIONS = ("lake", "hook", "crm")


def rules(*written) -> list[RouteConfig]:
    decoded, found = decode(list[RouteConfig], list(written), "routes")
    assert found == []
    assert decoded is not None
    return decoded


def judge(subject: Event, *written) -> Outcome:
    (outcome,) = Routing(rules(*written), DESTINATIONS).judge([subject], Scope(now=0))
    return outcome


def routes(subject: Event, *written) -> tuple[str, ...]:
    outcome = judge(subject, *written)
    assert isinstance(outcome, Event)
    return outcome.routes


def test_a_rule_without_a_condition_is_for_every_event():
    assert routes(event(), {"to": "lake"}) == ("lake",)


def test_without_a_rule_nobody_is_owed_anything():
    assert routes(event()) == ()
    assert routes(event(), {"to": "lake", "when": {"sources": ["other"]}}) == ()


def test_each_destination_once_in_the_order_of_the_configuration():
    assert routes(event(), {"to": ["crm", "hook"]}, {"to": ["hook", "lake"]}) == ("lake", "hook", "crm")


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"types": ["track", "page"]}, True),
        ({"types": ["page"]}, False),
        ({"sources": ["web"]}, True),
        ({"sources": ["we"]}, False),
        ({"events": ["Order Completed"]}, True),
        ({"events": ["order completed"]}, False),
        ({"events": ["Order"]}, False),
        ({"events": ["Nothing", "Order *"]}, True),
        ({"events": ["*ed"]}, True),
        ({"events": ["Order.Completed"]}, False),
        ({"types": ["track"], "sources": ["other"]}, False),
    ],
)
def test_type_source_and_name(when, fits):
    assert routes(event(), {"to": "hook", "when": when}) == (("hook",) if fits else ())


PROPERTIES = {"total": 25, "currency": "EUR", "gift": True, "note": None, "ship": {"country": "DE"}, "tags": ["a"]}


@pytest.mark.parametrize(
    ("path", "wanted", "fits"),
    [
        ("currency", "EUR", True),
        ("currency", "USD", False),
        ("currency", ["USD", "EUR"], True),
        ("currency", ["USD"], False),
        ("ship.country", "DE", True),
        ("ship.city", "DE", False),
        ("currency.code", "EUR", False),
        ("total", 25.0, True),
        ("gift", True, True),
        ("gift", 1, False),
        ("note", None, True),
        ("absent", None, False),
        ("total", {"gt": 24}, True),
        ("total", {"gt": 25}, False),
        ("total", {"gte": 25}, True),
        ("total", {"lt": 25}, False),
        ("total", {"lte": 25}, True),
        ("total", {"gt": 20, "lt": 24}, False),
        ("currency", {"gt": 1}, False),
        ("gift", {"gte": 0}, False),
        ("currency", {"prefix": "E"}, True),
        ("currency", {"prefix": "U"}, False),
        ("total", {"prefix": "2"}, False),
        ("total", {"exists": True}, True),
        ("absent", {"exists": True}, False),
        ("absent", {"exists": False}, True),
        ("note", {"exists": False}, True),
        ("currency", {"not": "USD"}, True),
        ("currency", {"not": "EUR"}, False),
        ("currency", {"not": ["USD", "EUR"]}, False),
        ("absent", {"not": "EUR"}, True),
        ("note", {"not": None}, False),
        ("tags", "a", False),
    ],
)
def test_conditions_on_properties(path, wanted, fits):
    written = {"to": "hook", "when": {"properties": {path: wanted}}}

    assert routes(event(properties=PROPERTIES), written) == (("hook",) if fits else ())


def test_all_conditions_must_hold():
    both = {"to": "hook", "when": {"properties": {"currency": "EUR", "total": {"gt": 100}}}}

    assert routes(event(properties=PROPERTIES), both) == ()


def test_rules_with_and_without_conditions_add_up():
    written = ({"to": "crm"}, {"to": ["hook", "crm"], "when": {"properties": {"total": {"gt": 10}}}})

    assert routes(event(properties={"total": 11}), *written) == ("hook", "crm")
    assert routes(event(properties={"total": 9}), *written) == ("crm",)


def test_properties_are_not_read_unless_a_rule_asks_for_them():
    asks = {"to": "hook", "when": {"events": ["Other"], "properties": {"total": 1}}}
    broken = event(properties=b'{"total":1e999}')

    assert routes(broken, {"to": "lake"}, asks) == ("lake",)
    assert routes(broken, {"to": ["hook"]}, {**asks, "when": {"properties": {"total": 1}}}) == ("hook",)


def test_properties_that_cannot_be_read_are_quarantined_when_a_rule_asks():
    outcome = judge(event(properties=b'{"total":1e999}'), {"to": "hook", "when": {"properties": {"total": 1}}})

    assert isinstance(outcome, Quarantine)
    assert outcome.reason == "event_unreadable"


def test_a_flood_of_names_is_decided_as_well_as_the_first():
    stage = Routing(rules({"to": "lake", "when": {"events": ["N1*"]}}), DESTINATIONS)
    names = [f"N{nth}" for nth in range(12_000)] + ["N1" + "x" * 1000, "N2" + "x" * 1000]
    outcomes = stage.judge([event(name=name) for name in names], Scope(now=0))

    assert [bool(outcome.routes) for outcome in outcomes if isinstance(outcome, Event)] == [
        name.startswith("N1") for name in names
    ]
    assert len(stage._memo) <= 10_000


def problems(*written) -> list[tuple[str, str, str]]:
    return [(p.place, p.message, p.hint) for p in check_routes(rules(*written), DESTINATIONS, "c.yaml: routes")]


def test_rules_without_a_fault():
    assert problems({"to": "lake"}, {"to": ["hook"], "when": {"properties": {"a.b": {"not": None}}}}) == []


def test_a_destination_that_does_not_exist():
    assert problems({"to": ["lake", "hok"]}) == [
        ("c.yaml: routes[0].to", "there is no destination `hok`", "did you mean `hook`?")
    ]


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ({"to": []}, "to"),
        ({"to": ""}, "to"),
        ({"to": "lake", "when": {}}, "when"),
        ({"to": "lake", "when": {"events": []}}, "when.events"),
        ({"to": "lake", "when": {"properties": {}}}, "when.properties"),
        ({"to": "lake", "when": {"properties": {"a": {}}}}, "when.properties.a"),
        ({"to": "lake", "when": {"properties": {"a": []}}}, "when.properties.a"),
        ({"to": "lake", "when": {"properties": {"a..b": 1}}}, "when.properties.a..b"),
    ],
)
def test_conditions_nothing_can_fit(written, place):
    assert [where for where, _, _ in problems(written)] == [f"c.yaml: routes[0].{place}"]


def test_the_word_not_is_written_as_such():
    assert b'"not":"x"' in msgspec.json.encode(rules({"to": "a", "when": {"properties": {"p": {"not": "x"}}}}))
