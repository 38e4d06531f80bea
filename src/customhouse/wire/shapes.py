"""
A canonical event as JSON for others: in our own shape, and in Segment's.

The client's own parts (properties, traits, context) travel as the text they are; only Segment's context is opened, when
something is to be added to it. Times are ISO 8601 in UTC, ids UUID text.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Raw, Struct, json

from customhouse.model.event import Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = json.Encoder().encode
_context = json.Decoder(dict[str, Raw])
_EMPTY = b"{}"


class _Request(Struct, omit_defaults=True):
    ip: str = ""
    user_agent: str = ""
    referer: str = ""
    language: str = ""
    region: str = ""


class _Violation(Struct):
    path: str
    rule: str
    message: str


class _Canonical(Struct):
    """Our own shape: every field of the event that means something outside the house, in a fixed order."""

    id: str
    source: str
    type: str
    name: str
    category: str
    message_id: str
    user_id: str | None
    anonymous_id: str | None
    group_id: str | None
    previous_id: str | None
    occurred_at: str | None
    received_at: str | None
    original_at: str | None
    sent_at: str | None
    properties: Raw
    traits: Raw
    context: Raw
    integrations: Raw
    request: _Request
    flags: tuple[str, ...]
    plan_release: int
    schema_version: str
    violations: list[_Violation]


class _Segment(Struct, omit_defaults=True, rename="camel"):
    type: str
    message_id: str
    timestamp: str | None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    group_id: str | None = None
    previous_id: str | None = None
    original_timestamp: str | None = None
    received_at: str | None = None
    properties: Raw | None = None
    traits: Raw | None = None
    context: Raw = Raw(_EMPTY)
    integrations: Raw | None = None


def iso(micros: int | None) -> str | None:
    """Return a time in microseconds since 1970 as ISO 8601 with milliseconds, or None when no calendar has it."""
    if micros is None:
        return None
    try:
        time = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None
    return time.isoformat(timespec="milliseconds")[:-6] + "Z"


def canonical(event: Event) -> bytes:
    """Return an event in our own shape."""
    facts = event.request
    return _encode(
        _Canonical(
            str(UUID(bytes=event.id)), event.source, event.type, event.name, event.category, event.message_id,
            event.user_id, event.anonymous_id, event.group_id, event.previous_id,
            iso(event.occurred_at or event.received_at), iso(event.received_at), iso(event.original_at),
            iso(event.sent_at),
            Raw(event.properties), Raw(event.traits), Raw(event.context), Raw(event.integrations),
            _Request(facts.ip, facts.user_agent, facts.referer, facts.language, facts.region),
            event.flags, event.plan_release, event.schema_version,
            [_Violation(one.path, one.rule, one.message) for one in event.violations],
        )
    )  # fmt: skip


def segment(event: Event) -> bytes:
    """
    Return an event in the shape of Segment's tracking API, as one item of a batch.

    `timestamp` is the corrected time, which holds as long as the batch's `sentAt` is the time of sending.
    """
    is_track = event.type == "track"
    return _encode(
        _Segment(
            type=event.type,
            message_id=event.message_id,
            timestamp=iso(event.occurred_at or event.received_at),
            event=event.name if is_track else None,
            name=None if is_track else event.name or None,
            category=event.category or None,
            user_id=event.user_id,
            anonymous_id=event.anonymous_id,
            group_id=event.group_id,
            previous_id=event.previous_id,
            original_timestamp=iso(event.original_at),
            received_at=iso(event.received_at),
            properties=_wanted(event.properties, always=event.type in {"track", "page", "screen"}),
            traits=_wanted(event.traits, always=event.type in {"identify", "group"}),
            context=Raw(_enriched(event)),
            integrations=_wanted(event.integrations, always=False),
        )
    )


def _wanted(text: bytes, *, always: bool) -> Raw | None:
    return Raw(text) if always or text != _EMPTY else None


def _enriched(event: Event) -> bytes:
    """
    Return the context with address and user agent of the request, when the request came from the person's own device.

    Segment does the same, and only then: a server's address and user agent say nothing of the person.
    """
    facts = event.request
    if not facts.ip and not facts.user_agent:
        return event.context
    context = _context.decode(event.context)
    if not facts.user_agent.startswith("Mozilla/") and bytes(context.get("direct", b"")) != b"true":
        return event.context
    missing = {"ip": facts.ip, "userAgent": facts.user_agent}
    added = {key: Raw(_encode(value)) for key, value in missing.items() if value and key not in context}
    return _encode(context | added) if added else event.context
