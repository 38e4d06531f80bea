"""
Reads JSON that is not quite JSON. Real clients send `NaN`, half characters and broken UTF-8; their events still count.

The slow path only: whatever a strict decoder takes never comes here. `sound` tells the two apart for text that a
strict decoder has skipped over without looking inside.
"""

import json
import re
from typing import Any

import msgspec

_BOM = b"\xef\xbb\xbf"
_LONGEST_INTEGER = 4_000
"""Digits. Longer ones cost quadratic time to read, and Python refuses them from 4,300 on."""
_FAR_TOO_LONG = b"0" * 64

_DIGITS_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
_HALVES = re.compile(rb"\xed([\xa0-\xaf])([\x80-\xbf])\xed([\xb0-\xbf])([\x80-\xbf])|\xed[\xa0-\xbf][\x80-\xbf]")
_ESCAPES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair, which is fine
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one
    r"|\\.",  # any other escape, so that no backslash is taken for the start of one
    re.DOTALL,
)
_IN_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

_strict = msgspec.json.Decoder().decode


def loads(text: bytes) -> tuple[Any, bool] | None:
    """
    Return the value and whether it had to be repaired, or None when it is beyond repair. Never raises.

    Not-a-numbers, infinities and numbers too large for anybody become null; raw surrogate pairs (CESU-8) become the
    character they mean, halves and invalid bytes U+FFFD; the last of duplicate keys wins.
    """
    try:
        return _strict(text), False
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(_clean(text), strict=False, parse_int=_int, parse_float=_float, parse_constant=_null), True
    except (ValueError, RecursionError):
        return None


def dumps(value: Any) -> bytes:
    """Return a value that `loads` returned as strict JSON. Not msgspec's encoder: it stops at shallower nesting."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def sound(*texts: bytes) -> bool:
    """
    Tell whether JSON texts that msgspec skipped over (as `Raw`) would decode too.

    Skipping proves the grammar and leaves out two things: whether strings are UTF-8, and whether numbers fit.
    """
    text = b",".join(texts)
    if not text.isascii():
        try:
            str(text, "utf-8")
        except UnicodeDecodeError:
            return False
    alike = text.translate(_DIGITS_ALIKE, b"+")
    if not _huge(alike):
        return True
    try:
        _strict(b"[%b]" % text)
    except (ValueError, RecursionError):
        return False
    return True


def _huge(alike: bytes) -> bool:
    """
    Tell whether a number may be too large, in JSON whose digits are all `0`. May err towards yes.

    It is too large only with three digits in its exponent, or two and very many before it: two strings to search for.
    """
    # For needles as short as these CPython searches twice as fast from the end.
    if alike.rfind(_FAR_TOO_LONG) >= 0:
        return True
    at = alike.rfind(b"0e000")
    while at >= 0:
        # Hexadecimal ids hold this too; before a number stands punctuation or a blank.
        if alike[max(0, at - 64) : at].rstrip(b"0.-")[-1:] in b":,[ \t\r\n":
            return True
        at = alike.rfind(b"0e000", 0, at + 4)
    return False


def deeper(text: bytes, limit: int) -> bool:
    """Tell whether JSON nests deeper than `limit` levels. Costs next to nothing while it has no more brackets than that."""
    # `replace` finds bytes many at a time, where `count` goes one by one.
    flat = text.replace(b"{", b"").replace(b"[", b"")
    if len(text) - len(flat) <= limit:
        return False
    depth = 0
    for bracket in _IN_STRINGS.sub(b"", text).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            return True
    return False


def _clean(raw: bytes) -> str:
    """Return text in which every character is whole."""
    text = _HALVES.sub(_whole, raw.removeprefix(_BOM)).decode("utf-8", "replace")
    return _ESCAPES.sub(lambda found: "\\ufffd" if found[1] else found[0], text) if "\\u" in text else text


def _whole(found: re.Match[bytes]) -> bytes:
    """Return the four-byte character two three-byte halves mean, or the replacement for a half alone."""
    if found[1] is None:
        return b"\xef\xbf\xbd"
    high = (found[1][0] & 0x0F) << 6 | (found[2][0] & 0x3F)
    low = (found[3][0] & 0x0F) << 6 | (found[4][0] & 0x3F)
    return chr(0x10000 + (high << 10) + low).encode()


def _int(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else None


def _float(digits: str) -> float | None:
    value = float(digits)
    return value if value - value == 0 else None


def _null(_word: str) -> None:
    return None
