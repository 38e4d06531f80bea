"""
An event as lines of JSON with the offending places marked by their paths, and two texts as the lines they differ in.

Problems name paths below the part the plan judges (`total`, `items[0].price`); here they are found again in the event
itself. A path may name a key that holds dots, or stand for several (`*`); what cannot be found marks what holds it.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

Path = tuple[str | int, ...]
_LINES = 1500
_CONTEXT = 2
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_INDEX = re.compile(r"\[(\d+|\*)\]")
_FIELDS = {
    "user_id": "userId", "anonymous_id": "anonymousId", "group_id": "groupId", "previous_id": "previousId",
    "message_id": "messageId", "timestamp": "timestamp", "type": "type", "event": "event", "name": "name",
    "category": "category", "properties": "properties", "traits": "traits", "context": "context",
    "integrations": "integrations",
}  # fmt: skip
"""What the house calls the fields of an event, and clients do."""
_WHOLE = {
    "type_missing": ("type",), "type_unknown": ("type",), "name_missing": ("event",), "event_unplanned": ("event",),
    "identity_missing": ("userId", "anonymousId"),
}  # fmt: skip
"""Reasons that are about a field by themselves."""
_JUDGED_TRAITS = ("identify", "group")


class Problem(Struct, frozen=True):
    """What is wrong, and where in the event; `path` is written as a repair takes it, empty for the whole."""

    path: str
    words: str


class Row(Struct, frozen=True):
    """One line of JSON. `mark` is `bad`, `missing` or empty; `words` say what is wrong with a marked one."""

    text: str
    mark: str = ""
    words: str = ""

    @property
    def bare(self) -> str:
        """Return the line without what stands before it."""
        return self.text.lstrip(" ")

    @property
    def indent(self) -> str:
        """Return the blanks before it."""
        return self.text[: len(self.text) - len(self.bare)]


class Difference(Struct, frozen=True):
    """One line of two texts compared: `-` was there, `+` comes, a space is in both, `…` leaves something out."""

    sign: str
    text: str


def problems(reason: str, kind: str, detail: str) -> list[Problem]:
    """Return what a reason and its detail say, with paths from the event's root. `kind` is the event's type."""
    found = []
    root = "traits" if kind in _JUDGED_TRAITS else "properties"
    for part in detail.split("; ") if detail and reason not in _WHOLE else ():
        path, colon, words = part.partition(": ")
        if not colon:
            found.append(Problem("", part))
        elif reason == "schema_violation" or not _at_root(path):
            found.append(Problem(f"{root}.{path}" if not path.startswith("[") else root + path, words))
        else:
            found.append(Problem(_FIELDS.get(path, path), words))
    return found or [Problem(path, detail or "is missing or wrong") for path in _WHOLE.get(reason, ("",))]


def event_rows(text: str, wrong: Sequence[Problem]) -> list[Row]:
    """Return an event's JSON as lines, the offending places marked; text that is no JSON comes as it is."""
    value = decoded(text)
    if value is None:
        return [Row(line) for line in text.splitlines()[:_LINES]]
    marks: dict[Path, str] = {}
    absent: dict[Path, list[tuple[str, str]]] = {}
    for problem in wrong:
        where, rest = locate(value, problem.path)
        if rest and not rest.startswith("*"):
            absent.setdefault(where, []).append((rest.lstrip("."), problem.words))
        elif problem.path:
            marks[where] = problem.words
    rows = list(_rows(value, (), "", marks, absent))
    return rows if len(rows) <= _LINES else [*rows[:_LINES], Row(f"… {len(rows) - _LINES:,} more lines")]


def locate(value: Any, text: str) -> tuple[Path, str]:
    """Return as much of a path as exists in a value, and the text of what does not."""
    path: list[str | int] = []
    rest = text
    while rest:
        step = _step(value, rest)
        if step is None:
            break
        key, rest = step
        value = value[key]
        path.append(key)
    return tuple(path), rest


def difference(before: str, after: str) -> list[Difference]:
    """Return the lines in which two texts of JSON differ, with a little around them; empty when in none."""
    lines = difflib.unified_diff(_pretty(before), _pretty(after), n=_CONTEXT, lineterm="")
    shown = [line for line in lines if not line.startswith(("---", "+++"))][:_LINES]
    return [Difference("…", "") if line.startswith("@@") else Difference(line[0], line[1:]) for line in shown]


def pretty(text: str) -> str:
    """Return JSON laid out for people, every digit kept; what is no JSON as it is."""
    return "\n".join(_pretty(text))


def decoded(text: str) -> Any:
    """Return the value of JSON text, numbers with all their digits; None when it is none."""
    try:
        return _decode(text.encode("utf-8", "replace"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _at_root(path: str) -> bool:
    return re.split(r"[.\[]", path, maxsplit=1)[0] in _FIELDS


def _pretty(text: str) -> list[str]:
    try:
        return msgspec.json.format(text.encode("utf-8", "replace")).decode().splitlines()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text.splitlines()


def _step(value: Any, text: str) -> tuple[str | int, str] | None:
    """Return the first step of a path into a value, and the rest of the path; None when nothing is there."""
    if isinstance(value, list):
        match = _INDEX.match(text)
        if match and match[1] != "*" and int(match[1]) < len(value):
            return int(match[1]), text[match.end() :]
        return None
    if not isinstance(value, dict):
        return None
    text = text.removeprefix(".")
    fitting = [key for key in value if key and text.startswith(key) and text[len(key) : len(key) + 1] in ("", ".", "[")]
    if not fitting:
        return None
    key = max(fitting, key=len)
    return key, text[len(key) :]


def _rows(
    value: Any, path: Path, lead: str, marks: dict[Path, str], absent: dict[Path, list[tuple[str, str]]]
) -> Iterator[Row]:
    """Lay a value out, a line per scalar, each with its mark. `lead` stands before it: indent and key."""
    mark, words = ("bad", marks[path]) if path in marks else ("", "")
    indent = "  " * (len(path) + 1)
    lost = absent.get(path, [])
    if isinstance(value, dict) and (value or lost):
        yield Row(lead + "{", mark, words)
        inside = list(value.items())
        for nth, (key, each) in enumerate(inside, 1):
            below = _rows(each, (*path, key), f"{indent}{_scalar(key)}: ", marks, absent)
            yield from _closed(below, last=nth == len(inside))
        yield from (Row(f"{indent}{_scalar(name)}", "missing", words) for name, words in lost)
        yield Row(indent[2:] + "}")
    elif isinstance(value, list) and value:
        yield Row(lead + "[", mark, words)
        for nth, each in enumerate(value):
            yield from _closed(_rows(each, (*path, nth), indent, marks, absent), last=nth == len(value) - 1)
        yield Row(indent[2:] + "]")
    else:
        yield Row(lead + _scalar(value), mark, words)


def _closed(rows: Iterator[Row], *, last: bool) -> Iterator[Row]:
    """Put the comma behind the last line of a member."""
    before = next(rows)
    for row in rows:
        yield before
        before = row
    yield before if last else Row(before.text + ",", before.mark, before.words)


def _scalar(value: Any) -> str:
    return _encode(value).decode()
