"""
The tracking plan as a value: definitions, their hash, and one text form that is kept when the plan is put to use.

What runs is never the folder but a snapshot of it, so that an event judged last month can be judged again today by
the very same words. The snapshot knows nothing of release numbers: whoever keeps it numbers it.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from customhouse.model.errors import Broken
from customhouse.plan.definition import Definition


class Plan(Struct, frozen=True):
    """All events a team agreed on, in a fixed order. Build it with `Plan.of`."""

    events: tuple[Definition, ...] = ()

    @classmethod
    def of(cls, events: Iterable[Definition]) -> "Plan":
        """Return the plan of these definitions, which must differ in type and name. Equal to what its snapshot holds."""
        plan = cls(tuple(sorted(events, key=lambda definition: definition.key)))
        return cls.from_snapshot(plan.to_snapshot())

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the snapshot in hex: equal for plans that say the same, whatever the files looked like."""
        return hashlib.sha256(self.to_snapshot()).hexdigest()

    def to_snapshot(self) -> bytes:
        """Return the plan as canonical JSON: sorted keys, fixed order, a format number."""
        return msgspec.json.encode(_Snapshot(format=1, events=self.events), order="sorted")

    @classmethod
    def from_snapshot(cls, snapshot: bytes) -> "Plan":
        """Return the plan a snapshot holds. Raises Broken when it is damaged or of a format this version does not know."""
        try:
            return cls(_snapshot.decode(snapshot).events)
        except msgspec.MsgspecError as error:
            raise Broken(f"the plan's snapshot cannot be read: {error}") from error


class _Snapshot(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    events: tuple[Definition, ...]


_snapshot: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Snapshot)
