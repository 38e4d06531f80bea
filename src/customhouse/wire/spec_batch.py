"""
Opens bodies in Segment's shape, which several families share: one event, or `{"batch": [event, …]}`.

The door's hot path: two passes of a C decoder and no look at what an event holds besides its ids. Only what a strict
decoder refuses goes the slow way, event by event.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from customhouse.model.contracts import Limits, Opened, Refusal
from customhouse.model.envelope import Letter
from customhouse.wire import lenient
from customhouse.wire.ids import as_id
from customhouse.wire.splitter import split

_NOTHING = Raw()
_SMALL_BODY = 400_000
_MANY_COMMAS = 200_000
_LONGEST_WORD = 512
_HEAD = 8192
_LOOKED_AT = 10
"""Events of a batch that are asked for the visitor's anonymous id: a browser's are all of one visitor."""

_EMPTY_VALUES = (b"", b"null", b"{}")


class _Batch(Struct, rename="camel", gc=False):
    batch: list[Raw]
    sent_at: Raw = _NOTHING
    timestamp: Raw = _NOTHING
    write_key: Raw = _NOTHING
    context: Raw = _NOTHING
    integrations: Raw = _NOTHING


class _Peek(Struct, rename="camel", gc=False):
    """What the door reads of an event. Other types than these are rare and go the slow way."""

    anonymous_id: str | int | float | None = None
    user_id: str | int | float | None = None
    write_key: str | int | float | None = None


_batch = msgspec.json.Decoder(_Batch).decode
_peek = msgspec.json.Decoder(_Peek).decode


def open_single(body: bytes, limits: Limits, *, sent_at: str = "", anonymous_id: str = "") -> Opened | Refusal:
    """Open a body that is one event. `anonymous_id` is what a header says, for an event that has none itself."""
    if not body:
        return Refusal("body_missing")
    if not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return Refusal("body_not_json", "one event as a JSON object was expected")
    letter, write_key = _letter(0, body, limits, anonymous_id)
    if letter.flaw == "event_unreadable":
        # Nobody else is in this body, and a sender of half a body should hear of it.
        return Refusal("body_not_json", "the body is no JSON object")
    shared = lenient.dumps({"anonymousId": anonymous_id}) if anonymous_id else b""
    return Opened([letter], shared, sent_at, write_key)


def open_batch(body: bytes, limits: Limits, *, sent_at: str = "") -> Opened | Refusal:
    """Open a body that is `{"batch": [event, …]}` with what it says once for all of them."""
    if not body:
        return Refusal("body_missing")
    parts = _parts(body, limits.batch_events)
    if parts is None:
        return Refusal("body_not_json", "a JSON object with an array `batch` was expected")
    if not parts.batch:
        return Refusal("batch_empty")
    if len(parts.batch) > limits.batch_events:
        return Refusal("batch_too_long")
    shared = _shared(parts, limits)
    if isinstance(shared, Refusal):
        return shared
    first, write_key = _letter(0, bytes(parts.batch[0]), limits)
    letters = [first, *_letters(parts.batch, limits)]
    return Opened(letters, shared, _word(parts.sent_at) or sent_at, _word(parts.write_key) or write_key)


def visitor(opened: Opened) -> str:
    """Return the anonymous id of the first sound event that names one, or what a header says; empty when nobody does."""
    bodies = [letter.body for letter in opened.letters[:_LOOKED_AT] if not letter.flaw]
    for body in (*bodies, opened.shared):
        try:
            found = as_id(_peek(body).anonymous_id)
        except (ValueError, RecursionError):
            continue
        if found:
            return found
    return ""


_ANCESTORS = (b"analytics-python", b"analytics-node")


def looks_like_rudderstack(body: bytes) -> bool:
    """
    Guess whether a RudderStack SDK wrote this body, from its first event.

    Their browser and mobile SDKs name themselves; their Python and Node SDKs carry the library name of their ancestor,
    and give themselves away by a `channel` of `server`, which no Segment SDK sends.
    """
    at = body.find(b'"library"', 0, _HEAD)
    if at >= 0:
        library = body[at : at + 200].lower()
        if b"rudder" in library:
            return True
        if not any(name in library for name in _ANCESTORS):
            return False
    return body.find(b'"channel":"server"', 0, _HEAD) >= 0 or body.find(b'"channel": "server"', 0, _HEAD) >= 0


def _letters(batch: Sequence[Raw], limits: Limits) -> Iterable[Letter]:
    """Yield the letters behind the first. `_letter` written out: this loop is most of what the door does."""
    largest, depth = limits.event_bytes, limits.depth
    for nth in range(1, len(batch)):
        body = bytes(batch[nth])
        try:
            who = _peek(body)
        except (ValueError, RecursionError):
            yield _odd_letter(nth, body, limits)[0]
            continue
        key = as_id(who.anonymous_id) or as_id(who.user_id) or ""
        if len(body) > largest or lenient.deeper(body, depth):
            yield Letter(nth, key, body, "event_too_large" if len(body) > largest else "event_too_deep")
        else:
            yield Letter(nth, key, body)


def _letter(nth: int, body: bytes, limits: Limits, anonymous_id: str = "") -> tuple[Letter, str]:
    """Return one letter, and the write key the event names."""
    try:
        who = _peek(body)
    except (ValueError, RecursionError):
        return _odd_letter(nth, body, limits, anonymous_id)
    key = as_id(who.anonymous_id) or as_id(anonymous_id) or as_id(who.user_id) or ""
    write_key = who.write_key if isinstance(who.write_key, str) else ""
    return Letter(nth, key, body, _flaw(body, limits)), write_key[:_LONGEST_WORD]


def _odd_letter(nth: int, body: bytes, limits: Limits, anonymous_id: str = "") -> tuple[Letter, str]:
    """Return the letter of an event that a strict decoder refuses, or whose ids are of odd types."""
    flaw = _flaw(body, limits)
    if flaw:
        return Letter(nth, as_id(anonymous_id) or "", body, flaw), ""
    read = lenient.loads(body)
    event: Any = read[0] if read else None
    if not isinstance(event, dict):
        return Letter(nth, as_id(anonymous_id) or "", body, "event_unreadable"), ""
    key = as_id(event.get("anonymousId")) or as_id(anonymous_id) or as_id(event.get("userId")) or ""
    write_key = event.get("writeKey")
    return Letter(nth, key, body), write_key[:_LONGEST_WORD] if isinstance(write_key, str) else ""


def _flaw(body: bytes, limits: Limits) -> str:
    if len(body) > limits.event_bytes:
        return "event_too_large"
    return "event_too_deep" if lenient.deeper(body, limits.depth) else ""


def _parts(body: bytes, limit: int) -> _Batch | None:
    """Take a batch body apart; None when it is none."""
    # A strict decoder would make a hundred bytes of every two of `0,`; only a large body can hold that many.
    if len(body) <= _SMALL_BODY or body.count(b",") <= _MANY_COMMAS:
        try:
            return _batch(body)
        except (ValueError, RecursionError):
            pass
    halves = split(body, b"batch", limit)
    if halves is None or halves.elements is None:
        return None
    get = halves.members.get
    return _Batch(
        batch=[Raw(element) for element in halves.elements],
        sent_at=Raw(get(b"sentAt", b"")),
        timestamp=Raw(get(b"timestamp", b"")),
        write_key=Raw(get(b"writeKey", b"")),
        context=Raw(get(b"context", b"")),
        integrations=Raw(get(b"integrations", b"")),
    )


def _shared(parts: _Batch, limits: Limits) -> bytes | Refusal:
    """
    Return what the body says once for all events, in the client's own bytes, as one small object.

    It is kept with every event that goes its own way later, so it must not be larger or deeper than an event.
    """
    named = (("context", parts.context), ("integrations", parts.integrations), ("timestamp", parts.timestamp))
    pieces = [b'"%b":%b' % (name.encode(), raw) for name, raw in named if bytes(raw) not in _EMPTY_VALUES]
    if not pieces:
        return b""
    shared = b"{%b}" % b",".join(pieces)
    if len(shared) > limits.event_bytes:
        return Refusal("body_too_large", "what the batch shares among its events is larger than an event may be")
    if lenient.deeper(shared, limits.depth + 1):
        return Refusal("body_not_json", "what the batch shares among its events nests too deep")
    return shared


def _word(raw: Raw) -> str:
    """Return a short text or number as text; nothing for anything else."""
    text = bytes(raw)
    if not text or len(text) > _LONGEST_WORD:
        return ""
    read = lenient.loads(text)
    return (as_id(read[0]) or "") if read else ""
