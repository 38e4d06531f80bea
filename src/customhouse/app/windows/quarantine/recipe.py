"""
Repairs as data: small steps on the JSON of an event, the same for every event of a group. Never code.

A path is written as problems name it, from the event's root: `properties.products[0].price`; `[*]` means every item.
Numbers keep every digit they came with. A step that cannot be done leaves the event as it was, and says why.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from customhouse.console.pages.quarantine_data import Step
from customhouse.wire import lenient, times

MOST_STEPS = 8
_TOKEN = re.compile(r"\[(\d{1,6}|\*)\]|\.?([^.\[\]]+)")
EACH = "[*]"
"""The step of a path that means every item of a list."""
_NOTHING = object()
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_KEPT = ("messageId",)
"""What makes it the same event: a repair does not touch it."""
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


class Undone(Exception):
    """A step could not be done; its text says why, and holds nothing of the event. Leaves this room as words."""


def problems(steps: Sequence[Step]) -> list[str]:
    """Return in words what is wrong with a repair; empty when it can be tried."""
    found = [] if steps else ["the repair has no step: choose what to do with a field"]
    if len(steps) > MOST_STEPS:
        found.append(f"a repair has at most {MOST_STEPS} steps")
    for nth, step in enumerate(steps, 1):
        found += [f"step {nth}: {words}" for words in _wrong(step)]
    return found


def mend(body: bytes, steps: Sequence[Step]) -> bytes:
    """Return an event's JSON after the steps, as it came when they change nothing. Raises Undone."""
    event = read(body)
    changed = False
    for step in steps:
        changed = _apply(event, step) or changed
    return _encode(event) if changed else body


def read(body: bytes) -> dict[str, Any]:
    """Return an event as plain data, its JSON mended as the road would. Raises Undone when it is no object."""
    try:
        event = _decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = lenient.loads(body)
        event = found[0] if found else None
    if not isinstance(event, dict):
        raise Undone("the event is no JSON object")
    return event


def _wrong(step: Step) -> Iterator[str]:
    if step.do == "name":
        if not step.value.strip():
            yield "say what the event shall be called"
        return
    tokens = _tokens(step.path)
    if not tokens:
        yield "name a field by its path, such as properties.total"
    elif tokens[0] in _KEPT:
        yield f"{tokens[0]} stays as it is: with another one it would be another event"
    elif step.do == "set":
        try:
            _decode(step.value.encode())
        except (msgspec.MsgspecError, ValueError, RecursionError):
            yield 'the value is no JSON: write text in quotes, such as "EUR", and numbers without'
    elif step.do == "rename" and not step.value.strip():
        yield "say what the field shall be called"
    elif step.do == "convert" and step.value not in CONVERSIONS:
        yield f"the type is one of {', '.join(CONVERSIONS)}"


def _apply(event: dict[str, Any], step: Step) -> bool:
    """Do one step; return whether it changed anything."""
    if step.do == "name":
        changed = event.get("event") != step.value.strip()
        event["event"] = step.value.strip()
        return changed
    tokens = _tokens(step.path)
    changed = False
    for parent in list(_parents(event, tokens[:-1], make=step.do == "set")):
        for last in _places(parent, tokens[-1], make=step.do == "set"):
            changed = _DOING[step.do](parent, last, step) or changed
    return changed


def _tokens(path: str) -> list[str | int]:
    """Return a path's steps; `EACH` for `[*]`. Empty when it cannot be read."""
    found: list[str | int] = []
    at = 0
    for match in _TOKEN.finditer(path.strip()):
        if match.start() != at:
            return []
        at = match.end()
        index, name = match.groups()
        found.append(name if name is not None else (EACH if index == "*" else int(index)))
    return found if at == len(path.strip()) else []


def _parents(value: Any, tokens: Sequence[str | int], *, make: bool) -> Iterator[Any]:
    """Walk everything a path leads to; objects that are missing are made on the way to a field that is set."""
    if not tokens:
        yield value
        return
    for place in _places(value, tokens[0], make=make):
        if make and isinstance(value, dict) and value.get(place) is None:
            value[place] = {}
        yield from _parents(value[place], tokens[1:], make=make)


def _places(value: Any, token: str | int, *, make: bool) -> list[Any]:
    """Return the keys or indexes of a value that one step of a path means."""
    if isinstance(value, list):
        if token == EACH:
            return list(range(len(value)))
        return [token] if isinstance(token, int) and token < len(value) else []
    if isinstance(value, dict) and isinstance(token, str) and token != EACH and (make or token in value):
        return [token]
    return []


def _set(parent: Any, last: Any, step: Step) -> bool:
    value = _decode(step.value.encode())
    before = parent.get(last, _NOTHING) if isinstance(parent, dict) else parent[last]
    parent[last] = value
    return bool(before is _NOTHING or before != value or type(before) is not type(value))


def _rename(parent: Any, last: Any, step: Step) -> bool:
    name = step.value.strip()
    if not isinstance(parent, dict) or name == last:
        return False
    if name in parent:
        raise Undone(f"{step.path} cannot be called {name}: there is such a field already")
    # In its old place, so that a person who compares the two sees the name change and nothing else.
    items = [(name if key == last else key, each) for key, each in parent.items()]
    parent.clear()
    parent.update(items)
    return True


def _convert(parent: Any, last: Any, step: Step) -> bool:
    before = parent[last]
    try:
        after = CONVERSIONS[step.value](before)
    except (ValueError, InvalidOperation, OverflowError, TypeError):
        raise Undone(f"{step.path} holds what cannot become {_ARTICLE.get(step.value, step.value)}") from None
    parent[last] = after
    return bool(type(before) is not type(after) or before != after)


def _remove(parent: Any, last: Any, _step: Step) -> bool:
    del parent[last]
    return True


_DOING: dict[str, Callable[[Any, Any, Step], bool]] = {
    "set": _set,
    "rename": _rename,
    "convert": _convert,
    "remove": _remove,
}


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | Decimal):
        return value
    if not isinstance(value, str) or len(value) > 100:
        raise ValueError
    number = Decimal(value.strip())
    if not number.is_finite() or abs(number.adjusted()) > 300:
        raise ValueError
    return int(number) if number == number.to_integral_value() and "." not in value else number


def _integer(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    if word not in _TRUE + _FALSE:
        raise ValueError
    return word in _TRUE


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise ValueError
    return _encode(value).decode()


def _date(value: Any) -> str:
    """Return a moment as ISO 8601 in UTC, from whatever the road reads as a time."""
    us = times.parse(float(value) if isinstance(value, Decimal) else value)
    if us is None:
        raise ValueError
    return times.format(us)


CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "string": _text,
    "date": _date,
}
_ARTICLE = {"number": "a number", "integer": "an integer", "boolean": "true or false", "string": "text",
            "date": "a date"}  # fmt: skip
