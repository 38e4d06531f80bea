"""JSON for people, line by line, with the places that are wrong marked: also those that are missing."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

MOST_LINES = 2000
_LONGEST = 2000
_DEEPEST = 80
_Marks = Mapping[tuple[str, ...], str]
_STEPS = re.compile(r"[^.\[\]]+|\[\d+\]")


class Line(Struct, frozen=True):
    """One line. `said` is what is wrong with it, empty when nothing is."""

    text: str
    said: str = ""
    missing: bool = False


def lines(value: Any, wrong: Mapping[str, str]) -> list[Line]:
    """Return JSON in lines. `wrong` maps paths such as `properties.products[0].price` to what is wrong there."""
    marks = {tuple(_STEPS.findall(path)): said for path, said in wrong.items()}
    found = list(islice(_lines(value, (), marks, ("", "")), MOST_LINES + 1))
    return found if len(found) <= MOST_LINES else [*found[:MOST_LINES], Line("… more lines than are shown")]


def differences(before: Any, after: Any, path: str = "", most: int = 60) -> list[tuple[str, Any, Any]]:
    """Return where two JSON values differ: path, before, after, in the order of the first; None for what is not there."""
    return list(islice(_differences(before, after, path), most))


def compact(value: Any) -> str:
    """Return JSON on one line, not too long."""
    text = msgspec.json.encode(value).decode("utf-8", "replace")
    return text if len(text) <= 200 else f"{text[:200]}…"


def _lines(value: Any, path: tuple[str, ...], marks: _Marks, around: tuple[str, str]) -> Iterator[Line]:
    """Yield the lines of a value that stands between `around`: its indentation and key, and the comma behind it."""
    lead, trail = around
    said = marks.get(path, "")
    absent = [
        (steps[-1], words)
        for steps, words in marks.items()
        if steps and steps[:-1] == path and isinstance(value, Mapping) and steps[-1] not in value
    ]
    if not isinstance(value, Mapping | list | tuple) or not (value or absent) or len(path) >= _DEEPEST:
        yield Line(f"{lead}{_json(value)}{trail}", said)
        return
    indent, keyed = "  " * (len(path) + 1), isinstance(value, Mapping)
    yield Line(lead + ("{" if keyed else "["), said)
    pairs = value.items() if isinstance(value, Mapping) else ((f"[{nth}]", inner) for nth, inner in enumerate(value))
    for nth, (key, inner) in enumerate(pairs):
        comma = "," if nth + 1 < len(value) else ""
        named = f"{indent}{_json(str(key))}: " if keyed else indent
        yield from _lines(inner, (*path, str(key)), marks, (named, comma))
    for key, words in absent:
        yield Line(f"{indent}{_json(key)}: …", words, missing=True)
    yield Line("  " * len(path) + ("}" if keyed else "]") + trail)


def _json(value: Any) -> str:
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{_json(value[:_LONGEST])}… ({len(value):,} characters)"
    try:
        return msgspec.json.encode(value).decode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError):
        return "…"


def _differences(before: Any, after: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping) and depth < _DEEPEST:
        for key in [*before, *(key for key in after if key not in before)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(before.get(key), after.get(key), inner, depth + 1)
    elif before != after:
        yield path, before, after
