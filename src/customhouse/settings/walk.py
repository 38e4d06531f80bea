"""
One walk through a user's data: where it stands, and what it has found wrong so far.

A walk goes on after a fault, because whoever mends a configuration wants to see all of them at once.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct, inspect

from customhouse.model.errors import Broken, Problem
from customhouse.settings.kinds import NumberKind, bare, expected, found

BAD: Final[Any] = object()
"""What a reader returns when it found something wrong, and has said so."""

DEEPEST = 64
"""Levels of nesting; only types that contain themselves could ever get there."""

_TRUTHS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


class Spot(Struct, frozen=True):
    """A place in the data, and whether what stands there must not be shown."""

    path: str = ""
    secret: bool = False
    depth: int = 0

    def key(self, name: object) -> "Spot":
        """Return the place of a mapping's entry."""
        text = str(name)[:80]
        step = text if text.isprintable() and text and "." not in text else ascii(text)
        return Spot(f"{self.path}.{step}" if self.path else step, self.secret, self.depth + 1)

    def item(self, nth: int) -> "Spot":
        """Return the place of a list's item."""
        return Spot(f"{self.path}[{nth}]", self.secret, self.depth + 1)


Reader = Callable[["Walk", Any, object, Spot], Any]
"""Reads data of one kind, or reports to the walk and returns `BAD`."""


class Walk:
    """The problems found so far, and how each kind is read."""

    def __init__(self, place: str, readers: Mapping[type[inspect.Type], Reader]) -> None:
        """Begin at the top of the file that `place` names."""
        self.place = place
        self.readers = readers
        self.problems: list[Problem] = []

    def problem(self, spot: Spot, message: str, hint: str = "") -> Any:
        """Report something wrong; returns `BAD`, so that a reader can end with it."""
        self.problems.append(Problem(f"{self.place}: {spot.path}" if spot.path else self.place, message, hint))
        return BAD

    def mismatch(self, kind: inspect.Type, data: object, spot: Spot) -> Any:
        """Report data of another kind than expected."""
        message = f"expected {expected(kind)}, found {found(data)}"
        return self.problem(spot, message, "" if spot.secret else _mend(kind, data))

    def read(self, kind: inspect.Type, data: object, spot: Spot) -> Any:
        """Read data as a kind. Raises Broken for a kind that configuration cannot hold."""
        kind, secret, _ = bare(kind)
        reader = self.readers.get(type(kind))
        if reader is None:
            raise Broken(f"configuration cannot hold a {type(kind).__name__}")
        if spot.depth > DEEPEST:
            return self.problem(spot, f"nested deeper than {DEEPEST} levels")
        return reader(self, kind, data, Spot(spot.path, secret=True, depth=spot.depth) if secret else spot)


def _mend(kind: inspect.Type, data: object) -> str:
    """Guess what the user meant by data of the wrong kind."""
    if data is None:
        return "give it a value, or leave the key out"
    if isinstance(kind, inspect.StrType) and isinstance(data, bool | int | float):
        return "put it in quotes"
    if isinstance(kind, inspect.BoolType) and isinstance(data, str) and data.lower() in _TRUTHS:
        return f"write `{_TRUTHS[data.lower()]}`"
    if isinstance(kind, inspect.BoolType | NumberKind) and isinstance(data, str):
        return "write it without quotes, units and separators"
    if isinstance(kind, inspect.ListType | inspect.VarTupleType | inspect.FrozenSetType) and not isinstance(data, dict):
        return "put it in brackets: [ ]"
    return ""
