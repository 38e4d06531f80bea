"""
Reads one event in Segment's shape into the canonical one. Several families share the shape and differ in a `Dialect`.

The pipeline's hot path: one typed decode per event, in which properties, traits, context and integrations stay text.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace
from xxhash import xxh3_64_intdigest as _hash

from customhouse.model.envelope import Envelope, Letter, event_id
from customhouse.model.event import Event
from customhouse.model.outcome import Quarantine
from customhouse.wire import lenient, times
from customhouse.wire.ids import LONGEST, as_id, hex_id

SPEC_TYPES = {kind: kind for kind in ("track", "identify", "page", "screen", "group", "alias")}
_EMPTY = b"{}"
_ABSENT = Raw(_EMPTY)
_OPEN_BRACE = ord("{")
_NO_OBJECT = "a JSON object was expected"
_FLAWS = {"event_unreadable": _NO_OBJECT}


class Dialect(Struct, frozen=True):
    """In what a family differs from Segment's specification."""

    types: dict[str, str]
    """Its words for types, in lower case, and ours."""
    context_traits: bool = False
    """Traits of an identify call may stand in `context.traits` alone."""


class _Spec(Struct, rename="camel", gc=False):
    """The fields of the specification. Names and ids of odd types are judged one by one, not by the decoder."""

    type: Any = None
    event: Any = None
    name: Any = None
    category: Any = None
    message_id: Any = None
    user_id: Any = None
    anonymous_id: Any = None
    group_id: Any = None
    previous_id: Any = None
    original_timestamp: Any = None
    timestamp: Any = None
    sent_at: Any = None
    properties: Raw = _ABSENT
    traits: Raw = _ABSENT
    context: Raw = _ABSENT
    integrations: Raw = _ABSENT


class _Shared(Struct, rename="camel"):
    """What the request said once for all its events."""

    context: dict[str, Raw] | None = None
    integrations: dict[str, Raw] | None = None
    timestamp: Any = None
    anonymous_id: Any = None


class _Names(Struct):
    name: Any = None
    category: Any = None


class _Context(Struct, rename="camel"):
    group_id: Any = None
    traits: Raw = _ABSENT


class _Called(Struct, rename="camel"):
    """By what its sender will ask for an event that could not be read."""

    message_id: Any = None
    type: Any = None
    event: Any = None


_spec = msgspec.json.Decoder(_Spec).decode
_shared = msgspec.json.Decoder(_Shared).decode
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_names = msgspec.json.Decoder(_Names).decode
_context = msgspec.json.Decoder(_Context).decode
_called = msgspec.json.Decoder(_Called).decode
_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


class _Odd(Exception):
    """Leaves this module as a Quarantine."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.verdict = Quarantine(reason, detail)


class _Reader:
    """Reads the letters of one envelope: what is the same for all of them is worked out once."""

    def __init__(self, envelope: Envelope, dialect: Dialect) -> None:
        self.envelope = envelope
        self.dialect = dialect
        self.kind = SPEC_TYPES.get(envelope.route, "")
        self.historical = envelope.route == "import"
        self.sent_at = times.parse(envelope.sent_at) if envelope.sent_at else None
        self.shared = _Shared()
        self.flags: tuple[str, ...] = ()
        self.fault: Quarantine | None = None
        if envelope.shared:
            self._take_shared(envelope.shared)
        self.anonymous_id = as_id(self.shared.anonymous_id)
        self.cookie_id = envelope.facts.anonymous_id or None
        """No part of fingerprints: a resend may carry a cookie that the first attempt had not got yet."""

    def read(self, letter: Letter, position: int) -> Event | Quarantine:
        """Read one letter."""
        if letter.flaw:
            verdict = Quarantine(letter.flaw, _FLAWS.get(letter.flaw) or f"{len(letter.body)} bytes")
            return self._identified(verdict, letter)
        if self.fault:
            return self._identified(self.fault, letter)
        try:
            return self._event(letter, position)
        except _Odd as odd:
            return self._identified(odd.verdict, letter)

    def _identified(self, verdict: Quarantine, letter: Letter) -> Quarantine:
        """Add what the sender calls the event, so that it can be asked for although it is none."""
        try:
            called = _called(letter.body)
        except (ValueError, RecursionError):
            return verdict
        kind = self.kind or self.dialect.types.get(called.type if isinstance(called.type, str) else "", "")
        name = called.event if kind == "track" and isinstance(called.event, str) else ""
        name = name if len(name) <= LONGEST else ""
        return replace(verdict, message_id=as_id(called.message_id) or "", type=kind, name=name)

    def _event(self, letter: Letter, position: int) -> Event:
        spec, flags, parts = _decode(letter.body)
        properties, traits, context, integrations = parts
        shared, envelope = self.shared, self.envelope
        kind = self.kind or self._kind(spec.type)
        user_id, own_id = as_id(spec.user_id), as_id(spec.anonymous_id) or self.anonymous_id
        anonymous_id = own_id or self.cookie_id
        previous_id = as_id(spec.previous_id) if spec.previous_id is not None else None
        name, category = _track_name(spec.event) if kind == "track" else _page_name(kind, spec, properties)
        if not user_id and not (previous_id if kind == "alias" else anonymous_id):
            raise _Odd("identity_missing")
        if shared.context:
            context = _merged(shared.context, context)
        if shared.integrations:
            integrations = _merged(shared.integrations, integrations)
        group_id = as_id(spec.group_id) if spec.group_id is not None else _context_group(context)
        if kind == "identify" and traits == _EMPTY and self.dialect.context_traits:
            traits = _context_traits(context)
        id_ = event_id(envelope.id, letter.nth)
        message_id = as_id(spec.message_id)
        # What the caller says stands in `timestamp`; some SDKs add an `originalTimestamp` of the moment of the call.
        said = spec.timestamp or spec.original_timestamp or shared.timestamp
        original_at = times.parse(said)
        if flags or self.flags or message_id is None or original_at is None or letter.replay_of >= 0:
            flags = _flags(self.flags or flags, message_id, said, original_at, letter)
        told = said if type(said) is str else repr(said)
        kept = _pack((kind, name, user_id, own_id, group_id, previous_id, told))
        fingerprint = _hash(properties, _hash(kept))
        seal = (fingerprint if traits == _EMPTY else _hash(traits, fingerprint)) >> 1
        sent_at = times.parse(spec.sent_at) if spec.sent_at else self.sent_at
        # By position, because names cost a third of the making; in rows, as the class has them.
        # fmt: off
        return Event(
            id_, position, envelope.source, envelope.protocol, kind, name,
            message_id or hex_id(id_), user_id, anonymous_id, group_id, previous_id,
            envelope.received_at, original_at, sent_at,
            properties, traits, context, integrations,
            envelope.facts, letter.order_key, category, seal,
            self.historical, letter.replay_of, flags,
        )
        # fmt: on

    def _kind(self, word: object) -> str:
        """Return our word for the type an event names itself."""
        if not isinstance(word, str):
            raise _Odd("type_missing") if word is None else _Odd("event_unreadable", "type: text was expected")
        kind = self.dialect.types.get(word) or self.dialect.types.get(word.strip().lower())
        if not kind:
            raise _Odd("type_unknown" if word.strip() else "type_missing")
        return kind

    def _take_shared(self, shared: bytes) -> None:
        """Decode what the request said for all events, mended where it must be; a fault in it is every event's."""
        try:
            self.shared = _shared(shared)
            if lenient.sound(shared):
                return
        except (ValueError, RecursionError):
            pass
        read = lenient.loads(shared)
        if read is None:
            self.fault = Quarantine("event_unreadable", "what the batch shares among its events is not JSON")
            return
        self.flags = ("json_repaired",) if read[1] else ()
        try:
            self.shared = _shared(lenient.dumps(read[0]))
        except (ValueError, RecursionError):
            self.fault = Quarantine("event_unreadable", "context and integrations of the batch: objects were expected")


def read_spec(
    envelope: Envelope, letters: Sequence[Letter], positions: Sequence[int], dialect: Dialect
) -> list[Event | Quarantine]:
    """Read letters of one envelope, each with its log position; one answer per letter, in order. Never raises."""
    read = _Reader(envelope, dialect).read
    return [read(letter, position) for letter, position in zip(letters, positions, strict=True)]


def _decode(body: bytes) -> tuple[_Spec, tuple[str, ...], tuple[bytes, bytes, bytes, bytes]]:
    """Decode an event and its four open-ended parts, mending its JSON where a strict decoder refuses it."""
    try:
        spec = _spec(body)
        parts = _parts(spec)
        if lenient.sound(*parts):
            return spec, (), parts
    except (ValueError, RecursionError):
        pass
    read = lenient.loads(body)
    if read is None or not isinstance(read[0], dict):
        raise _Odd("event_unreadable", _NO_OBJECT)
    try:
        spec = _spec(lenient.dumps(read[0]))
    except (ValueError, RecursionError):
        raise _Odd("event_unreadable", _NO_OBJECT) from None
    return spec, ("json_repaired",), _parts(spec)


def _parts(spec: _Spec) -> tuple[bytes, bytes, bytes, bytes]:
    """Return properties, traits, context and integrations as texts of objects."""
    properties = _EMPTY if spec.properties is _ABSENT else bytes(spec.properties)
    traits = _EMPTY if spec.traits is _ABSENT else bytes(spec.traits)
    context = _EMPTY if spec.context is _ABSENT else bytes(spec.context)
    integrations = _EMPTY if spec.integrations is _ABSENT else bytes(spec.integrations)
    if properties[0] == traits[0] == context[0] == integrations[0] == _OPEN_BRACE:
        return properties, traits, context, integrations
    return (
        _object(properties, "properties"),
        _object(traits, "traits"),
        _object(context, "context"),
        _object(integrations, "integrations"),
    )


def _object(text: bytes, path: str) -> bytes:
    if text[0] == _OPEN_BRACE:
        return text
    if text == b"null":
        return _EMPTY
    raise _Odd("event_unreadable", f"{path}: an object was expected")


def _track_name(event: object) -> tuple[str, str]:
    if isinstance(event, str) and event and not event.isspace():
        return event, ""
    if event is None or isinstance(event, str):
        raise _Odd("name_missing")
    raise _Odd("event_unreadable", "event: text was expected")


def _page_name(kind: str, spec: _Spec, properties: bytes) -> tuple[str, str]:
    """Return name and category of a page or screen, which may stand among its properties too."""
    if kind not in {"page", "screen"}:
        return "", ""
    for path, value in (("name", spec.name), ("category", spec.category)):
        if value is not None and not isinstance(value, str):
            raise _Odd("event_unreadable", f"{path}: text was expected")
    name, category = spec.name, spec.category
    if not (name and category) and properties != _EMPTY:
        inner = _names(properties)
        name = name or (inner.name if isinstance(inner.name, str) else "")
        category = category or (inner.category if isinstance(inner.category, str) else "")
    return name or "", category or ""


def _context_group(context: bytes) -> str | None:
    # An event seldom names a group there, and looking costs a decode: an escaped spelling of the key is not looked for.
    return as_id(_context(context).group_id) if context.rfind(b'"groupId"') >= 0 else None


def _context_traits(context: bytes) -> bytes:
    traits = bytes(_context(context).traits)
    return traits if traits[0] == _OPEN_BRACE else _EMPTY


def _merged(shared: dict[str, Raw], own: bytes) -> bytes:
    """Lay an event's own members over those shared by the batch, whole members at a time."""
    return _encode({**shared, **_members(own)})


def _flags(
    known: tuple[str, ...], message_id: str | None, said: object, original_at: int | None, letter: Letter
) -> tuple[str, ...]:
    """Return the words for what is remarkable about an event."""
    found = list(known)
    if message_id is None:
        found.append("message_id_missing")
    if original_at is None:
        found.append("time_unreadable" if said else "time_missing")
    if letter.replay_of >= 0:
        found.append("replayed")
    return tuple(found)
