"""
From a row to an event in Segment's shape: which column is which field, and of which type.

A mapping is written as `column=field.path[:type]`. Columns that are named like a field already need no word.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from customhouse.app.upkeep.history.rows import Row
from customhouse.model.errors import Misconfigured, Problem
from customhouse.settings.kinds import nearest
from customhouse.wire import times

FIELDS = (
    "type", "event", "name", "category", "userId", "anonymousId", "groupId", "previousId", "messageId", "timestamp",
    "originalTimestamp", "sentAt", "channel",
)  # fmt: skip
OBJECTS = ("properties", "traits", "context", "integrations")
TYPES = ("string", "number", "integer", "boolean", "time", "json")
_TIMES = ("timestamp", "originalTimestamp", "sentAt")
_RULE = re.compile(r"(?P<path>[^:()]+)(:(?P<type>[a-z]+)(\((?P<form>.*)\))?)?", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRUTHS = {"true": True, "t": True, "yes": True, "y": True, "1": True}
_LIES = {"false": False, "f": False, "no": False, "n": False, "0": False}
_DEEPEST = 16


class Rule(Struct, frozen=True):
    """One column or path of a row, and where it goes."""

    source: str
    path: tuple[str, ...]
    kind: str = ""
    form: str = ""
    """For times that are written in a way of their own, as `strptime` reads them; UTC unless it holds %z."""


class Shape(Struct, frozen=True):
    """How rows become events. Without rules, rows of JSON Lines are events already."""

    rules: tuple[Rule, ...] = ()
    rest: tuple[str, ...] = ()
    """Where columns go that no rule names; empty when they stay behind."""
    constants: tuple[tuple[tuple[str, ...], str], ...] = ()
    """What every event says."""


class MapFile(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A mapping kept in a file."""

    format: Annotated[Literal[1], Meta(description="Format of this file.")] = 1
    map: Annotated[dict[str, str], Meta(description="Field by column: `user id: userId`; `*` for all others.")] = {}
    set: Annotated[dict[str, str], Meta(description="What every event says: `type: track`.")] = {}


def shape_of(maps: Iterable[tuple[str, str]], constants: Iterable[tuple[str, str]]) -> Shape:
    """Return the shape of pairs as users write them. Raises Misconfigured with every problem."""
    problems: list[Problem] = []
    rules: list[Rule] = []
    rest: tuple[str, ...] = ()
    said: list[tuple[tuple[str, ...], str]] = []
    for source, target in maps:
        found = _RULE.fullmatch(target.strip())
        path = _path(found["path"], f"--map {source}={target}", problems) if found else ()
        kind = (found["type"] or "") if found else ""
        if found is None or (kind and kind not in TYPES):
            hint = f"write COLUMN=FIELD[:TYPE], where TYPE is one of {', '.join(TYPES)}"
            problems.append(Problem(f"--map {source}={target}", "cannot be read", hint))
        elif source == "*":
            rest = path
        else:
            rules.append(
                Rule(source, path, kind or ("time" if path[-1:] and path[0] in _TIMES else ""), found["form"] or "")
            )
    for target, value in constants:
        said.append((_path(target, f"--set {target}", problems), value))
    if problems:
        raise Misconfigured(problems)
    return Shape(tuple(rules), rest, tuple(said))


def for_columns(shape: Shape, columns: list[str]) -> tuple[Shape, list[str]]:
    """
    Return the shape with the columns that are fields by their own name, and the columns that stay behind.

    Raises Misconfigured when a rule names no column, or no column leads anywhere.
    """
    named = {rule.source for rule in shape.rules}
    missing = [
        Problem(
            f"--map {source}",
            "the file has no such column",
            nearest(source, columns) or f"it has: {', '.join(columns)}",
        )
        for source in sorted(named - set(columns))
    ]
    if missing:
        raise Misconfigured(missing)
    own = [Rule(name, tuple(name.split(".")), "time" if name in _TIMES else "") for name in columns if is_field(name)]
    rules = [*shape.rules, *(rule for rule in own if rule.source not in named)]
    known = {rule.source for rule in rules}
    left = [name for name in columns if name not in known and name]
    if shape.rest:
        rules += [Rule(name, (*shape.rest, name)) for name in left]
        left = []
    if not rules:
        hint = f"say what they are: --map '{columns[0]}=userId'; fields are {', '.join(FIELDS[:6])}, properties.…"
        raise Misconfigured([Problem("the file", "no column is named like a field of an event", hint)])
    return Shape(tuple(rules), (), shape.constants), left


def is_field(name: str) -> bool:
    """Tell whether a name is a field of an event, or a path into one of its objects."""
    head, dot, rest = name.partition(".")
    return name in FIELDS or (head in OBJECTS and bool(dot) and bool(rest))


def shaped(shape: Shape, row: Row) -> tuple[dict[str, Any], str]:
    """Return the event a row stands for, and what is wrong with it; empty when nothing is. Names columns, never values."""
    event: dict[str, Any] = {}
    for rule in shape.rules:
        value = _find(row.values, rule.source)
        if value is None or value == "":
            continue
        made, wrong = _converted(value, rule)
        if wrong:
            return {}, f"{rule.source}: {wrong}"
        if not _put(event, rule.path, made):
            return {}, f"{rule.source}: its place is taken by another column"
    if shape.rest:
        mine = {rule.source for rule in shape.rules}
        for name, value in row.values.items():
            if name not in mine and value is not None:
                _put(event, (*shape.rest, name), value)
    for path, text in shape.constants:
        _put(event, path, text)
    return event, ""


def _path(text: str, place: str, problems: list[Problem]) -> tuple[str, ...]:
    text = text.strip()
    if not is_field(text) and text not in OBJECTS:
        words = nearest(text, [*FIELDS, *OBJECTS]) or "such as userId, timestamp, event, properties.total"
        problems.append(Problem(place, f"`{text}` is no field of an event", words))
    return tuple(text.split(".", _DEEPEST))


def _find(values: Mapping[str, Any], source: str) -> Any:
    """Return a column by its name, or what a dotted path leads to."""
    if source in values:
        return values[source]
    found: Any = values
    for step in source.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _put(event: dict[str, Any], path: tuple[str, ...], value: Any) -> bool:
    for step in path[:-1]:
        below = event.setdefault(step, {})
        if not isinstance(below, dict):
            return False
        event = below
    if len(path) == 1 and path[0] in OBJECTS and isinstance(value, dict) and isinstance(event.get(path[0]), dict):
        event[path[0]] |= value
    else:
        event[path[-1]] = value
    return True


def _converted(value: Any, rule: Rule) -> tuple[Any, str]:
    """Return a value as its rule wants it, or what is wrong."""
    if rule.kind in {"", "string"}:
        as_is = not rule.kind or isinstance(value, str)
        return (value if as_is else json.dumps(value, ensure_ascii=False)), ""
    if rule.kind == "time":
        us = _time(value, rule.form)
        return ("", "is not a time that can be read") if us is None else (times.format(us), "")
    if rule.kind == "json":
        try:
            return (json.loads(value) if isinstance(value, str) else value), ""
        except (ValueError, RecursionError):
            return None, "is not JSON"
    if rule.kind == "boolean":
        truth = value if isinstance(value, bool) else (_TRUTHS | _LIES).get(str(value).strip().lower())
        return truth, "" if truth is not None else "is not true or false"
    return _number(value, whole=rule.kind == "integer")


def _number(value: Any, *, whole: bool) -> tuple[Any, str]:
    wrong = "is not a whole number" if whole else "is not a number"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None, wrong
    text = str(value).strip()
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text), ""
    if whole or not re.fullmatch(r"[+-]?([0-9]{1,300}(\.[0-9]{0,300})?|\.[0-9]{1,300})([eE][+-]?[0-9]{1,3})?", text):
        return None, wrong
    number = float(text)
    return (number, "") if number - number == 0 else (None, wrong)


def _time(value: Any, form: str) -> int | None:
    if not form:
        return times.parse(value)
    try:
        moment = datetime.strptime(str(value).strip(), form)  # noqa: DTZ007 -- the zone is set below when it names none
    except ValueError:
        return None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
