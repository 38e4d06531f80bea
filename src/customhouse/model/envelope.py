"""
What the door writes down: the client's own bytes, and the facts of their receipt.

One `Envelope` stands for one request and one partition; each of its `letters` is one event as the client sent it.
Facts that are the same for every event of a request are kept once. Times are microseconds since 1970 in UTC.
"""

from msgspec import Struct

NOT_EVALUATED = "not evaluated"


class RequestFacts(Struct, frozen=True, array_like=True, omit_defaults=False, gc=False):
    """What the request itself said, reduced to what later stages may need and policy allows to keep."""

    ip: str = ""
    """Truncated: IPv4 to /24, IPv6 to /48. Empty when unknown."""
    user_agent: str = ""
    client_hints: dict[str, str] = {}
    """`sec-ch-ua*` headers, lower-case names."""
    referer: str = ""
    origin: str = ""
    language: str = ""
    host: str = ""
    path: str = ""
    query: str = ""
    """Scrubbed: write keys and tokens are cut out before anything is kept."""
    cookies: dict[str, str] = {}
    """Only the allowed ones: `_fbp`, `_fbc` and those of consent platforms."""
    gpc: bool = False
    """`Sec-GPC: 1` was sent. False is no statement."""
    traceparent: str = ""
    region: str = ""
    """Looked up at the door from the full address; empty until geography is known."""
    anonymous_id: str = ""
    """What the door's own cookie says, where it sets one: the anonymous id of events that name none themselves."""


class ConsentSnapshot(Struct, frozen=True, array_like=True, gc=False):
    """The gate's decision for these events, with the policy that took it."""

    decision: str = NOT_EVALUATED
    policy: int = 0


class Letter(Struct, frozen=True, array_like=True, gc=False):
    """One event as the client sent it."""

    nth: int
    """Its place in the request: the event's id is `event_id(envelope.id, nth)`."""
    order_key: str
    """Anonymous id, else user id, else empty: what partitions and orders."""
    body: bytes
    """The client's own JSON text of this one event."""
    flaw: str = ""
    """A quarantine reason the door already knows (`event_too_large` …), else empty."""
    replay_of: int = -1
    """For a replayed event, the log position at which it was first received; -1 for all others."""


class Envelope(Struct, frozen=True, array_like=True):
    """The events of one request that belong to one partition, as the log `received` keeps them."""

    id: bytes
    """A UUIDv7 whose last twelve bits are zero: letters take their ids from it by their `nth`."""
    source: str
    protocol: str
    route: str
    """The protocol's own word for the route: `batch`, `track`, `import` …"""
    received_at: int
    sent_at: str
    """The client's own words about when it sent the request; empty when it did not say."""
    shared: bytes
    """What the body said once for all its events (JSON object with `context`, `integrations`); may be empty."""
    facts: RequestFacts
    letters: list[Letter]
    consent: ConsentSnapshot = ConsentSnapshot()


def event_id(base: bytes, nth: int) -> bytes:
    """Return the sixteen bytes of the id of the `nth` letter (0 to 4095) under an envelope id."""
    return (int.from_bytes(base) + nth).to_bytes(16)
