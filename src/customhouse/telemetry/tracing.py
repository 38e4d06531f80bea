"""
W3C trace context: the `traceparent` a client sent travels with its event to every request we make because of it.

Customhouse makes no spans of its own here. It passes the trace on as one more step, so that the client's tracing tool
shows the delivery under the call that caused it.
"""

import re

from msgspec import Struct

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)

SPAN_BYTES = 8
_KNOWN_FLAGS = 0x01


class TraceParent(Struct, frozen=True):
    """A valid trace context, in lower-case hexadecimal."""

    trace_id: str
    span_id: str
    flags: int

    def __str__(self) -> str:
        """Return the header's value, in version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def parse(traceparent: str) -> TraceParent | None:
    """
    Read a `traceparent` header, or return None when it is not valid and must be ignored.

    Later versions are read as far as version 00 goes, as the recommendation asks (section 4.3).
    """
    found = _FORM.fullmatch(traceparent.strip(" \t"))
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceParent(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS)


def child(traceparent: str, random_bytes: bytes) -> str:
    """
    Return the header for a request made on behalf of this one: same trace, a span id of its own.

    `random_bytes` are eight or more; the same bytes give the same id. An invalid parent gives an empty string: there
    is no trace to go on with, and none is begun.
    """
    parent = parse(traceparent)
    if parent is None:
        return ""
    if len(random_bytes) < SPAN_BYTES:
        raise ValueError(f"a span id needs {SPAN_BYTES} bytes")
    span = int.from_bytes(random_bytes[:SPAN_BYTES]) or 1  # an id of zeros is not valid
    return str(TraceParent(parent.trace_id, f"{span:016x}", parent.flags))
