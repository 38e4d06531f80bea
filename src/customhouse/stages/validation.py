"""
Validation: is it what we agreed? Judges each event by its entry in the tracking plan.

Reads identifiers, `context`, and `properties` (or `traits` of identify and group); writes the release that judged, the
version of the entry, and in what the event breaks it. Explanations name paths and expectations, never values.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from customhouse.model.event import Event, Violation
from customhouse.model.outcome import Outcome, Quarantine, Scope
from customhouse.plan.compile import Judge
from customhouse.plan.definition import CONTEXT, Definition
from customhouse.plan.plan import Plan

EVENT_UNPLANNED = "event_unplanned"
EVENT_UNREADABLE = "event_unreadable"
REQUIREMENT_MISSING = "requirement_missing"
SCHEMA_VIOLATION = "schema_violation"


class PlanConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to events that are not as agreed."""

    unknown_events: Annotated[
        Literal["allow", "annotate", "quarantine"],
        Meta(
            description="Track events the plan does not know: `allow` them, `annotate` them with a violation, or put "
            "them into `quarantine`. Calls of other types need no entry."
        ),
    ] = "annotate"
    on_violation: Annotated[
        Literal["annotate", "quarantine"],
        Meta(description="Events that break their entry: `annotate` them with their violations, or `quarantine`."),
    ] = "quarantine"


class Validation:
    """Judges by one release of the plan."""

    name = "validation"
    writes = frozenset({"plan_release", "schema_version", "violations"})

    def __init__(self, plan: Plan, release: int, policy: PlanConfig) -> None:
        """Compile the plan. `release` is the number under which it is kept, and which every event will carry."""
        self._release = release
        self._policy = policy
        self._entries = {definition.key: _Entry(definition) for definition in plan.events}

    def judge(self, events: Sequence[Event], scope: Scope) -> list[Outcome]:  # noqa: ARG002 -- every stage is asked alike
        """Answer with the event and the release that judged it, or with quarantine and all its violations in words."""
        entries = self._entries
        outcomes: list[Outcome] = []
        for event in events:
            entry = entries.get((event.type, event.name))
            if entry is None and event.type in _PAGES:
                entry = entries.get((event.type, ""))
            outcomes.append(self._unknown(event) if entry is None else self._known(event, entry))
        return outcomes

    def _unknown(self, event: Event) -> Outcome:
        if event.type != "track" or self._policy.unknown_events == "allow":
            return replace(event, plan_release=self._release)
        if self._policy.unknown_events == "quarantine":
            return Quarantine(EVENT_UNPLANNED, f"release {self._release} of the plan has no such event")
        return replace(event, plan_release=self._release, violations=_UNPLANNED)

    def _known(self, event: Event, entry: "_Entry") -> Outcome:
        violations = entry.missing(event)
        missing = bool(violations)
        text = event.traits if entry.judges_traits else event.properties
        if entry.judge is not None and not entry.judge.surely_keeps(text):
            try:
                value = _decode(text)
            except (ValueError, RecursionError):
                part = "traits" if entry.judges_traits else "properties"
                return Quarantine(EVENT_UNREADABLE, f"the {part} hold numbers, text or nesting that cannot be read")
            if not entry.judge.is_valid(value):
                violations += entry.judge.violations(value)
        if not violations:
            return replace(event, plan_release=self._release, schema_version=entry.version)
        if self._policy.on_violation == "quarantine":
            return Quarantine(REQUIREMENT_MISSING if missing else SCHEMA_VIOLATION, explain(violations))
        return replace(event, plan_release=self._release, schema_version=entry.version, violations=violations)


def explain(violations: Sequence[Violation]) -> str:
    """Return violations as one line for people."""
    return "; ".join(f"{v.path}: {v.message}" if v.path else v.message for v in violations)


_PAGES = ("page", "screen")
_UNPLANNED = (Violation("", "unplanned", "the tracking plan does not know this event"),)
_ATTRIBUTES = {"timestamp": "original_at"}
"""What a plan calls otherwise than `Event` does."""

_decode = msgspec.json.Decoder().decode


class _Entry:
    """One definition, ready to judge."""

    __slots__ = ("_identifiers", "_paths", "judge", "judges_traits", "version")

    def __init__(self, definition: Definition) -> None:
        schema = definition.schema()
        self.version = definition.version
        self.judge = Judge(schema) if schema else None
        self.judges_traits = definition.type in ("identify", "group")
        words = definition.requires
        self._identifiers = tuple((word, _ATTRIBUTES.get(word, word)) for word in words if not word.startswith(CONTEXT))
        self._paths = tuple((word, word.removeprefix(CONTEXT).split(".")) for word in words if word.startswith(CONTEXT))

    def missing(self, event: Event) -> tuple[Violation, ...]:
        """Return what the plan asks for and the event does not have."""
        lacking = [word for word, attribute in self._identifiers if getattr(event, attribute) in _NOTHING]
        if self._paths:
            context = _context(event.context)
            lacking += [word for word, path in self._paths if _look_up(context, path) in _NOTHING]
        return tuple([Violation(word, "requires", "is required and missing") for word in lacking]) if lacking else ()


_NOTHING = (None, "")


def _context(text: bytes) -> Any:
    """Return the context; what cannot be read holds nothing that was asked for."""
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        return None


def _look_up(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value
