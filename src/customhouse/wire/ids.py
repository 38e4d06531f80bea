"""
Ids: the clients' own, which come in every JSON type, and ours, which travel as sixteen bytes and show as UUID text.

One rule for what an id is, because the door orders events by it and every later stage joins on it.
"""

import re

import xxhash

LONGEST = 512
"""Characters. A longer id is cut and closed with a hash of the whole, so that two of them never become one."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def as_id(value: object) -> str | None:
    """Return an id as text, trimmed; None for what is no id: nothing, blanks, booleans, lists, objects."""
    if type(value) is not str:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        value = _number(value)
    text = value.strip()
    if len(text) <= LONGEST:
        return text or None
    digest = xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))
    return f"{text[: LONGEST - 33]}~{digest}"


def _number(value: float) -> str:
    """Return a number as a JavaScript client would have written it; nothing for what is no number."""
    if isinstance(value, int):
        # Beyond this Python refuses to write an integer out, and no id is so long.
        return str(value) if value.bit_length() < 10_000 else ""
    if value.is_integer():
        return str(int(value))
    return str(value) if value - value == 0 else ""


def hex_id(raw: bytes) -> str:
    """Return sixteen bytes as canonical UUID text."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def id_bytes(text: str) -> bytes | None:
    """Return the sixteen bytes of canonical UUID text, or None when it is no such text."""
    return bytes.fromhex(text.replace("-", "")) if _UUID.fullmatch(text) else None
