"""
What a stage says of an event, and what a destination says of one: values, never exceptions.

A stage answers each event with exactly one `Outcome`, at the same place in the list. A destination answers each event
with exactly one `Receipt`.
"""

from msgspec import Struct

from customhouse.model.event import Event


class Drop(Struct, frozen=True):
    """The event ends here on purpose; it is counted under `dropped:<reason>`."""

    reason: str
    detail: str = ""
    flags: tuple[str, ...] = ()
    """Documented words about what is remarkable; they join the event's own in its trail."""


class Quarantine(Struct, frozen=True):
    """The event is kept whole, with the reason, until somebody repairs, replays or discards it."""

    reason: str
    detail: str = ""
    message_id: str = ""
    """What its sender calls it, as far as that can be read: said only where no event could be made, as `type` and `name`."""
    type: str = ""
    name: str = ""


Outcome = Event | Drop | Quarantine


class Delivered(Struct, frozen=True):
    """The destination has it."""

    detail: str = ""


class Retry(Struct, frozen=True):
    """The destination may take it later. `after` is in seconds, when the destination named a time."""

    reason: str
    after: float | None = None
    detail: str = ""


class Rejected(Struct, frozen=True):
    """The destination will never take it as it is."""

    reason: str
    detail: str = ""


Receipt = Delivered | Retry | Rejected


class Versions(Struct, frozen=True, array_like=True):
    """The numbered inputs a judgement was made with: given the log, these and the clock, it can be made again."""

    config: int = 0
    plan: int = 0
    policy: int = 0
    key: int = 0


class Scope(Struct, frozen=True):
    """What a stage is given besides the events: the time of the judgement and the versions it is made under."""

    now: int
    versions: Versions = Versions()
