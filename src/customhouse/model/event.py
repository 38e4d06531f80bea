"""
The one canonical event. Every protocol is read into it, every stage writes its own fields of it, every destination packs it.

Open-ended parts (`properties`, `traits`, `context`, `integrations`) stay the client's JSON text: most stages never
look inside, and bytes are cheaper to carry than dictionaries. Times are microseconds since 1970 in UTC.
"""

from msgspec import Struct

from customhouse.model.envelope import RequestFacts

TYPES = ("track", "identify", "page", "screen", "group", "alias")


class Violation(Struct, frozen=True, array_like=True, gc=False):
    """One way in which an event breaks its plan. Names the path and the rule, never the value."""

    path: str
    rule: str
    message: str


class Event(Struct, frozen=True, array_like=True, gc=False):
    """One event in canonical form. A field named under a stage below is written by exactly that stage."""

    id: bytes
    """Ours, UUIDv7, sixteen bytes."""
    position: int
    """Where the log holds it: what owns its message id, and what orders it."""
    source: str
    protocol: str
    type: str
    name: str
    """The event's name for `track`; the page's or screen's name, else empty, for the others."""
    message_id: str
    user_id: str | None
    anonymous_id: str | None
    group_id: str | None
    previous_id: str | None
    received_at: int
    original_at: int | None
    """When the client says it happened, by the client's clock; None when it did not say or cannot be read."""
    sent_at: int | None
    """When the client says it sent it, by the same clock."""
    properties: bytes
    traits: bytes
    context: bytes
    integrations: bytes
    """JSON objects as text; `b"{}"` when the client sent none."""
    request: RequestFacts
    order_key: str
    category: str = ""
    """Page and screen category."""
    fingerprint: int = 0
    """A hash of the client's bytes without what a resend changes: tells a duplicate from a conflicting one."""
    historical: bool = False
    """From an import: its own times are kept, no clock correction."""
    replay_of: int = -1
    flags: tuple[str, ...] = ()
    """Documented words (see `reasons`) about what is remarkable; readers and stages append, nobody removes."""
    occurred_at: int = 0
    """When it truly happened, as well as we can tell. Written by clock."""
    plan_release: int = 0
    schema_version: str = ""
    violations: tuple[Violation, ...] = ()
    """Written by validation."""
    routes: tuple[str, ...] = ()
    """Names of the destinations that are owed a copy. Written by routing."""
