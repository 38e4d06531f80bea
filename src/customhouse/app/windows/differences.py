"""
How two configurations differ: change by change for programs and one-line words, and as text for people who know diffs.

What is compared is the meaning, not the file: comments may quote a secret, and a number is given only when the meaning
changed. Secrets are shown as references; one that stands there itself is masked, and a change of it is still a change.
"""

import difflib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

from customhouse.app.windows.masks import masked

_NAMED = 3
"""Changes that a one-line summary names before it counts."""


class Side(Struct, frozen=True):
    """One of two configurations. `configuration` is plain data as written, `events` the plan's definitions."""

    name: str
    configuration: dict[str, Any]
    events: list[dict[str, Any]]


class Change(Struct, frozen=True):
    """One thing that differs. Values are plain data, secrets masked; None where there is nothing."""

    kind: Literal["added", "removed", "changed"]
    part: Literal["configuration", "plan"]
    place: str
    """The path inside the configuration, or inside the event's definition; empty for a whole event."""
    event: str = ""
    """Of the plan: what people call the event."""
    before: Any = None
    after: Any = None


class Difference(Struct, frozen=True):
    """Everything in which two configurations differ."""

    before: str
    after: str
    changes: list[Change]
    text: list[str]
    """Lines of a unified diff."""

    @property
    def same(self) -> bool:
        """Tell whether they mean the same."""
        return not self.changes


def difference(before: Side, after: Side, *, text: bool = True) -> Difference:
    """Return how `after` differs from `before`; the text is most of the work, and not everybody needs it."""
    old, new = masked(before.configuration), masked(after.configuration, before.configuration)
    plans = _events(before.events), _events(after.events)
    changes = [Change(kind, "configuration", place, "", a, b) for kind, place, a, b in _walk(old, new, "")]
    for title in dict.fromkeys([*plans[0], *plans[1]]):
        pair = plans[0].get(title), plans[1].get(title)
        if pair[0] is None or pair[1] is None:
            kind: Literal["added", "removed"] = "added" if pair[0] is None else "removed"
            changes.append(Change(kind, "plan", "", title, pair[0], pair[1]))
        else:
            changes += [Change(kind, "plan", place, title, a, b) for kind, place, a, b in _walk(*pair, "")]
    return Difference(
        before.name, after.name, changes, [*_text((before.name, after.name), (old, new), plans)] if text else []
    )


def summary(found: Difference) -> str:
    """Return what changed in one line, such as `+ destinations.hook, plan: Order Completed 1.0.0 → 1.1.0`."""
    signs = {"added": "+", "removed": "−", "changed": "~"}
    words = [f"{signs[each.kind]} {each.place}" for each in found.changes if each.part == "configuration"]
    plan: dict[str, str] = {}
    for each in found.changes:
        if each.event and not each.place:
            event = each.after or each.before or {}
            plan[each.event] = f"{signs[each.kind]} {each.event} {event.get('version', '')}".rstrip()
        elif each.event and each.place == "version":
            plan[each.event] = f"{each.event} {each.before} → {each.after}"
        elif each.event:
            plan.setdefault(each.event, f"~ {each.event}")
    words += [f"plan: {word}" for word in plan.values()]
    more = len(words) - _NAMED
    return ", ".join(words[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def as_yaml(data: Any) -> str:
    """Return plain data as people write it."""
    import yaml

    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def _events(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return a plan's definitions by what people call them."""
    found = {}
    for event in events:
        kind, name = str(event.get("type", "track")), str(event.get("event", ""))
        found[(name if kind == "track" else f"{kind} {name}".strip()) or kind] = event
    return found


_Plan = dict[str, dict[str, Any]]
_Step = tuple[Literal["added", "removed", "changed"], str, Any, Any]


def _walk(before: Any, after: Any, place: str) -> Iterator[_Step]:
    """Yield what differs, at the highest place at which something is new or gone."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            below = f"{place}.{name}" if place else str(name)
            if name not in after:
                yield "removed", below, before[name], None
            elif name not in before:
                yield "added", below, None, after[name]
            else:
                yield from _walk(before[name], after[name], below)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _walk_lists(before, after, place)
    elif before != after or type(before) is not type(after):  # true is no 1
        yield "changed", place, before, after


def _walk_lists(before: list[Any], after: list[Any], place: str) -> Iterator[_Step]:
    old, new = ([msgspec.json.encode(each, order="sorted") for each in side] for side in (before, after))
    for word, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if word == "equal":
            continue
        paired = min(b - a, d - c)
        for n in range(paired):
            yield from _walk(before[a + n], after[c + n], f"{place}[{c + n}]")
        for n in range(a + paired, b):
            yield "removed", f"{place}[{n}]", before[n], None
        for n in range(c + paired, d):
            yield "added", f"{place}[{n}]", None, after[n]


def _text(names: tuple[str, str], sides: tuple[Any, Any], plans: tuple[_Plan, _Plan]) -> Iterator[str]:
    """Yield the lines of a unified diff of configurations, and then of every event that differs."""
    yield from _unified("customhouse.yaml", *sides, names)
    for title in sorted({*plans[0], *plans[1]}):
        before, after = plans[0].get(title), plans[1].get(title)
        if before is None or after is None or any(_walk(before, after, "")):
            yield from _unified(f"plan: {title}", before, after, names)


def _unified(title: str, before: Any, after: Any, names: tuple[str, str]) -> Iterator[str]:
    old = as_yaml(before).splitlines() if before is not None else []
    new = as_yaml(_aligned(after, before)).splitlines() if after is not None else []
    yield from difflib.unified_diff(old, new, f"{title} ({names[0]})", f"{title} ({names[1]})", lineterm="")


def _aligned(data: Any, like: Any) -> Any:
    """Return data with its keys in the order of what it is compared with: another order is no difference."""
    if isinstance(data, dict) and isinstance(like, dict):
        names = [*(name for name in like if name in data), *(name for name in data if name not in like)]
        return {name: _aligned(data[name], like.get(name)) for name in names}
    return data
