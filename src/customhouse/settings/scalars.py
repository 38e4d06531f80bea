"""
How single values are read: nothing, truth values, numbers, text, and one of a few words.

Nothing is converted on the quiet: text is never taken for a number, nor a number for text. The one exception is a
whole number where a number is wanted.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from msgspec import inspect

from customhouse.settings.kinds import NumberKind, SizedKind, expected, nearest, shown
from customhouse.settings.secret import Masked
from customhouse.settings.walk import BAD, Spot, Walk

_LIMITS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("ge", "at least", lambda value, bound: value >= bound),
    ("gt", "more than", lambda value, bound: value > bound),
    ("le", "at most", lambda value, bound: value <= bound),
    ("lt", "less than", lambda value, bound: value < bound),
    ("multiple_of", "a multiple of", lambda value, bound: value % bound == 0),
)


def read_anything(_walk: Walk, _kind: inspect.AnyType, data: object, _spot: Spot) -> Any:
    """Take the data as it is: what follows is somebody else's to judge."""
    return data


def read_nothing(walk: Walk, kind: inspect.NoneType, data: object, spot: Spot) -> Any:
    """Read the absence of a value."""
    return None if data is None else walk.mismatch(kind, data, spot)


def read_truth(walk: Walk, kind: inspect.BoolType, data: object, spot: Spot) -> Any:
    """Read true or false."""
    return data if isinstance(data, bool) else walk.mismatch(kind, data, spot)


def read_whole(walk: Walk, kind: inspect.IntType, data: object, spot: Spot) -> Any:
    """Read a whole number within its bounds."""
    if isinstance(data, bool) or not isinstance(data, int):
        return walk.mismatch(kind, data, spot)
    return _bounded(walk, kind, data, spot)


def read_number(walk: Walk, kind: inspect.FloatType, data: object, spot: Spot) -> Any:
    """Read a finite number within its bounds, whole or not, as a float."""
    if isinstance(data, bool) or not isinstance(data, int | float):
        return walk.mismatch(kind, data, spot)
    try:
        value = float(data)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        return walk.problem(spot, "must be a finite number")
    return _bounded(walk, kind, value, spot)


def _bounded(walk: Walk, kind: NumberKind, value: float, spot: Spot) -> Any:
    for name, words, holds in _LIMITS:
        bound = getattr(kind, name)
        if bound is not None and not holds(value, bound):
            return walk.problem(spot, f"must be {words} {bound}")
    return value


def read_text(walk: Walk, kind: inspect.StrType, data: object, spot: Spot) -> Any:
    """Read text of an allowed length and pattern; a secret comes out masked."""
    if not isinstance(data, str):
        return walk.mismatch(kind, data, spot)
    if not size_fits(walk, kind, len(data), spot):
        return BAD
    if kind.pattern is not None and re.search(kind.pattern, data) is None:
        return walk.problem(spot, f"{'it' if spot.secret else shown(data)} does not match the pattern {kind.pattern}")
    return Masked(data) if spot.secret else data


def size_fits(walk: Walk, kind: SizedKind, size: int, spot: Spot) -> bool:
    """Say whether a length (in characters, items or entries) is within its bounds; report it when it is not."""
    for bound, words, fits in (
        (kind.min_length, "at least", size >= (kind.min_length or 0)),
        (kind.max_length, "at most", kind.max_length is None or size <= kind.max_length),
    ):
        if not fits:
            unit = "character" if isinstance(kind, inspect.StrType) else "item"
            walk.problem(spot, f"must have {words} {bound} {unit}{'' if bound == 1 else 's'}")
            return False
    return True


def read_literal(walk: Walk, kind: inspect.LiteralType, data: object, spot: Spot) -> Any:
    """Read one of a few given values; `1` is not `true` here."""
    if any(type(value) is type(data) and value == data for value in kind.values):
        return data
    if not isinstance(data, str) or spot.secret:
        return walk.mismatch(kind, data, spot)
    hint = nearest(data, [value for value in kind.values if isinstance(value, str)])
    return walk.problem(spot, f"{shown(data)} is not {expected(kind)}", hint if hint.startswith("did") else "")
