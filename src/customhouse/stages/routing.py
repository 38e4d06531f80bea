"""
Routing: who is owed a copy? Decides by type, name, source and properties which destinations get an event.

Writes `routes`: names of destinations, in the order in which they are configured, each once. An event that no rule
sends anywhere leaves with no routes; it is still on the road, and the runner books it as unrouted.
"""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from customhouse.model.errors import Problem
from customhouse.model.event import Event
from customhouse.model.outcome import Outcome, Quarantine, Scope
from customhouse.settings.kinds import nearest

EVENT_UNREADABLE = "event_unreadable"

Scalar = str | int | float | bool | None


class PredicateConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"not_": "not"}):
    """What a property must be; everything that is said must hold. Comparisons hold for numbers only."""

    gt: Annotated[float | None, Meta(description="Greater than.")] = None
    gte: Annotated[float | None, Meta(description="Greater than or equal.")] = None
    lt: Annotated[float | None, Meta(description="Less than.")] = None
    lte: Annotated[float | None, Meta(description="Less than or equal.")] = None
    exists: Annotated[bool | None, Meta(description="Whether the property is there; null counts as absent.")] = None
    prefix: Annotated[str | None, Meta(description="Text that begins so.")] = None
    not_: Annotated[
        Scalar | list[Scalar] | msgspec.UnsetType,
        Meta(description="Any value but this, or none of these; holds for an absent property."),
    ] = msgspec.UNSET


class WhenConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events a rule is about: those that fit everything that is said."""

    types: Annotated[
        list[Literal["track", "identify", "page", "screen", "group", "alias"]] | None,
        Meta(description="Kinds of call."),
    ] = None
    events: Annotated[
        list[str] | None,
        Meta(description="Names, exactly or with `*`, `?` and `[…]`; upper and lower case differ."),
    ] = None
    sources: Annotated[list[str] | None, Meta(description="Names of sources.")] = None
    properties: Annotated[
        dict[str, Scalar | list[Scalar] | PredicateConfig] | None,
        Meta(
            description="Properties by path (`total`, `shipping.country`): a value it must equal, a list of which it "
            "must be one, or conditions."
        ),
    ] = None


class RouteConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: these destinations get those events."""

    to: Annotated[str | list[str], Meta(description="A destination, or several.")]
    when: Annotated[WhenConfig | None, Meta(description="Which events; left out, all of them.")] = None


def check_routes(rules: Sequence[RouteConfig], destinations: Sequence[str], place: str) -> list[Problem]:
    """Return what is wrong with the rules, given the names of all destinations. `place` is where the list stands."""
    found: list[Problem] = []
    for nth, rule in enumerate(rules):
        where = f"{place}[{nth}]"
        if not rule.to:
            found.append(Problem(f"{where}.to", "the rule names no destination", "name one, or remove the rule"))
        found += [
            Problem(
                f"{where}.to",
                f"there is no destination `{name}`",
                nearest(name, destinations) or "configure it under `destinations`",
            )
            for name in _names(rule.to)
            if name not in destinations
        ]
        found += _check_when(rule.when, f"{where}.when")
    return found


def _check_when(when: WhenConfig | None, place: str) -> list[Problem]:
    if when is None:
        return []
    given = {field: getattr(when, field) for field in when.__struct_fields__}
    if all(value is None for value in given.values()):
        return [Problem(place, "the condition is empty", "leave `when` out to send every event")]
    found = [
        Problem(f"{place}.{field}", "the list is empty, so that no event fits", "fill it, or leave it out")
        for field, value in given.items()
        if value is not None and not value
    ]
    for path, predicate in (when.properties or {}).items():
        where = f"{place}.properties.{path}"
        if not all(path.split(".")):
            found.append(Problem(where, "a path is names with one dot between them"))
        if predicate in (PredicateConfig(), []):
            found.append(Problem(where, "the condition is empty", "say `exists: true` if that is what is meant"))
    return found


class Routing:
    """Applies the rules. What does not depend on properties is decided once per source, type and name."""

    name = "routing"
    writes = frozenset({"routes"})

    def __init__(self, rules: Sequence[RouteConfig], destinations: Sequence[str]) -> None:
        """Compile rules that `check_routes` has found nothing wrong with. `destinations` is in configuration order."""
        self._destinations = tuple(destinations)
        self._rules = [_Rule(rule) for rule in rules]
        self._memo: dict[tuple[str, str, str], _Choice] = {}

    def judge(self, events: Sequence[Event], scope: Scope) -> list[Outcome]:  # noqa: ARG002 -- every stage is asked alike
        """Answer every event with itself and its routes."""
        memo = self._memo
        outcomes: list[Outcome] = []
        for event in events:
            choice = memo.get((event.source, event.type, event.name)) or self._choice(event)
            if choice.open:
                outcomes.append(self._look_inside(event, choice))
            else:
                outcomes.append(replace(event, routes=choice.routes))
        return outcomes

    def _choice(self, event: Event) -> "_Choice":
        """Decide what can be decided without properties, and remember it; names come from clients, so within bounds."""
        fitting = [rule for rule in self._rules if rule.fits(event)]
        certain = frozenset(name for rule in fitting if not rule.tests for name in rule.to)
        undecided = tuple(rule for rule in fitting if rule.tests and not certain.issuperset(rule.to))
        choice = _Choice(self._ordered(certain), certain, undecided)
        if len(event.name) <= _MEMO_NAME:
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            self._memo[event.source, event.type, event.name] = choice
        return choice

    def _look_inside(self, event: Event, choice: "_Choice") -> Outcome:
        try:
            properties = _decode(event.properties)
        except (ValueError, RecursionError):
            return Quarantine(EVENT_UNREADABLE, "the properties hold numbers, text or nesting that cannot be read")
        chosen = choice.certain.union(*(rule.to for rule in choice.open if rule.holds(properties)))
        return replace(event, routes=self._ordered(chosen))

    def _ordered(self, names: frozenset[str]) -> tuple[str, ...]:
        return tuple(name for name in self._destinations if name in names)


_MEMO_SIZE = 10_000
_MEMO_NAME = 200
"""Longer names, which only a fault or an attack sends, are decided each time, so that they cannot fill the memory."""

_decode = msgspec.json.Decoder().decode
_ABSENT = object()

Test = Callable[[Any], bool]


class _Choice(Struct, frozen=True):
    """What is settled for a source, type and name, and the rules that must see the properties."""

    routes: tuple[str, ...]
    certain: frozenset[str]
    open: tuple["_Rule", ...]


class _Rule:
    """One rule, compiled."""

    __slots__ = ("_names", "_sources", "_types", "tests", "to")

    def __init__(self, rule: RouteConfig) -> None:
        when = rule.when or WhenConfig()
        self.to = frozenset(_names(rule.to))
        self._types = None if when.types is None else frozenset(when.types)
        self._sources = None if when.sources is None else frozenset(when.sources)
        self._names = None if when.events is None else [re.compile(translate(pattern)) for pattern in when.events]
        self.tests = [(path.split("."), _compile(wanted)) for path, wanted in (when.properties or {}).items()]

    def fits(self, event: Event) -> bool:
        """Say whether type, source and name fit."""
        return (
            (self._types is None or event.type in self._types)
            and (self._sources is None or event.source in self._sources)
            and (self._names is None or any(name.match(event.name) for name in self._names))
        )

    def holds(self, properties: Any) -> bool:
        """Say whether the properties fit."""
        return all(test(_look_up(properties, path)) for path, test in self.tests)


def _names(to: str | list[str]) -> list[str]:
    return ([to] if to else []) if isinstance(to, str) else to


def _look_up(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return _ABSENT
        value = value[step]
    return value


def _compile(wanted: Any) -> Test:
    if not isinstance(wanted, PredicateConfig):
        return _one_of(wanted)
    tests = [make(getattr(wanted, word)) for word, make in _MAKERS.items() if getattr(wanted, word) is not None]
    if wanted.not_ is not msgspec.UNSET:
        excluded = _one_of(wanted.not_)
        tests.append(lambda value: not excluded(value))
    return lambda value: all(test(value) for test in tests)


def _one_of(wanted: Any) -> Test:
    """Compare as JSON does: 1 equals 1.0, but true is not 1."""
    options = [(isinstance(option, bool), option) for option in (wanted if isinstance(wanted, list) else [wanted])]
    return lambda value: (isinstance(value, bool), value) in options


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_MAKERS: dict[str, Callable[[Any], Test]] = {
    "gt": lambda limit: lambda value: _number(value) and value > limit,
    "gte": lambda limit: lambda value: _number(value) and value >= limit,
    "lt": lambda limit: lambda value: _number(value) and value < limit,
    "lte": lambda limit: lambda value: _number(value) and value <= limit,
    "exists": lambda wanted: lambda value: (value is not _ABSENT and value is not None) is wanted,
    "prefix": lambda start: lambda value: isinstance(value, str) and value.startswith(start),
}
"""How each word of a condition is tested; a maker gets the word's value and makes the test."""
