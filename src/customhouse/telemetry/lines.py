"""
One line of the log: which values may stand in it, and how it looks to machines and to people.

Private by construction: only plain values are written, never an object's representation; long text is cut; fields whose
names speak of people or secrets are masked, whatever they hold.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

LONGEST = 500
"""Characters of one value."""
MOST_ITEMS = 20
"""Items of one list."""

MASK = "(masked)"

_PRIVATE_NAMES = frozenset(
    [
        "user_id",
        "userid",
        "anonymous_id",
        "anonymousid",
        "group_id",
        "previous_id",
        "distinct_id",
        "device_id",
        "order_key",
        "write_key",
        "writekey",
        "api_key",
        "ip",
        "address",
        "name",
        "first_name",
        "last_name",
        "body",
        "headers",
        "query",
        "url",
        "referer",
        "context",
    ]
)
_PRIVATE_PARTS = frozenset(
    [
        "email",
        "phone",
        "password",
        "passwd",
        "secret",
        "token",
        "authorization",
        "auth",
        "cookie",
        "cookies",
        "credential",
        "credentials",
        "properties",
        "traits",
        "payload",
    ]
)
_OWN = frozenset(("at", "level", "event"))
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_DIM, _RESET = "\x1b[2m", "\x1b[0m"


def line_of(level: str, event: str, fields: Mapping[str, object]) -> dict[str, object]:
    """Return the line that says an event with these fields, masked and cut. Own names win over fields' names."""
    line: dict[str, object] = {"at": _now(), "level": level, "process": "", "event": safe(event)}
    for name, value in fields.items():
        line[f"{name}_" if name in _OWN else name] = MASK if is_private(name) else safe(value)
    return line


def is_private(name: str) -> bool:
    """Say whether a field of this name is masked."""
    plain = name.lower().replace("-", "_")
    return plain in _PRIVATE_NAMES or not _PRIVATE_PARTS.isdisjoint(plain.split("_"))


def safe(value: object) -> object:
    """Return what may be written of a value: plain values cut to length; of anything else only its type's name."""
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return value
    if kind is int and isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else "(huge number)"
    if kind is str and isinstance(value, str):
        text = value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
        return text.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list | tuple):
        return _safe_items(value)
    return f"(not logged: {kind.__name__})"


def _safe_items(items: Sequence[object]) -> list[object]:
    cut = ["(list)" if isinstance(item, list | tuple) else safe(item) for item in items[:MOST_ITEMS]]
    return cut if len(items) <= MOST_ITEMS else [*cut, f"… and {len(items) - MOST_ITEMS} more"]


def for_machines(line: Mapping[str, object]) -> str:
    """Return a line as one JSON object."""
    return msgspec.json.encode(line).decode()


def for_people(line: Mapping[str, object], *, colour: bool) -> str:
    """Return a line as a person reads it: time of day, level, what happened, fields."""
    at, level = str(line["at"])[11:19], str(line["level"])
    shade, dim, reset = (_COLOURS.get(level, ""), _DIM, _RESET) if colour else ("", "", "")
    fields = [f"{dim}{name}={reset}{_word(value)}" for name, value in line.items() if name not in (*_OWN, "process")]
    event = _plain(str(line["event"]))
    words = (f"{dim}{at}{reset}", f"{shade}{level:<7}{reset}", f"{dim}{_plain(str(line['process'])):<9}{reset}", event)
    return " ".join((*words, *fields))


def _word(value: object) -> str:
    """Show a value unambiguously; what a client sent must not move the cursor of whoever reads it."""
    if isinstance(value, str):
        return _plain(value) if value and value.isprintable() and " " not in value else ascii(value)
    return _plain(msgspec.json.encode(value).decode())


def _plain(text: str) -> str:
    return text if text.isprintable() else ascii(text)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
