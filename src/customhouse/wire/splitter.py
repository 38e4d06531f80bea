"""
Takes a body apart by its brackets and quotes alone, when a strict decoder has refused it.

One bad value must not cost its neighbours: each event keeps its own bytes, and what is wrong with one stays its own
affair. Linear in time, flat in memory, and it gives up on bodies with absurdly many brackets.
"""

import re

from msgspec import Struct

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKEN = re.compile(_STRING + rb"|[\[{\]}]|\"", re.DOTALL)
"""A whole string, a bracket, or a quote that opens a string without an end."""
_KEY = re.compile(rb"[\s,]*+(" + _STRING + rb")\s*+:\s*+", re.DOTALL)
_GAP = re.compile(rb"\s*+")
_SEPARATORS = re.compile(rb"[\s,]*+")
_SCALAR = re.compile(rb'[^,\[\]{}"]*+')
_BOM = b"\xef\xbb\xbf"

_MOST_MEMBERS = 1_000
_MOST_TOKENS = 1_000_000
"""About a fifth of a second. Honest bodies of the largest allowed size stay under it."""


class Split(Struct, frozen=True):
    """A body's top-level members, and the elements of one of them."""

    members: dict[bytes, bytes]
    """By key, without quotes and as it stands in the text; the last of duplicates wins."""
    elements: list[bytes] | None
    """Of the array asked for; None when there is none. Cut off one element after the limit."""


class _Scanner:
    """Walks over one text from left to right."""

    __slots__ = ("at", "text", "tokens")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.at = 3 if text.startswith(_BOM) else 0
        self.tokens = _MOST_TOKENS

    def skip(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Go past a pattern, if it stands here."""
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def see(self) -> bytes:
        """Return the byte that stands here, without going past it; nothing at the end."""
        return self.text[self.at : self.at + 1]

    def value(self) -> bytes | None:
        """Go past one value and return its bytes; None when it has no end."""
        start = self.at
        first = self.see()
        if first in (b"{", b"["):
            if not self._balanced():
                return None
        elif first == b'"':
            found = _TOKEN.match(self.text, start)
            if not found or found.end() == start + 1:
                return None
            self.at = found.end()
        else:
            self.skip(_SCALAR)
        return self.text[start : self.at].strip()

    def _balanced(self) -> bool:
        """Go past everything up to the bracket that closes the one here."""
        depth = 0
        for found in _TOKEN.finditer(self.text, self.at):
            self.tokens -= 1
            token = found[0]
            if token in (b"{", b"["):
                depth += 1
            elif token in (b"}", b"]"):
                depth -= 1
                if not depth:
                    self.at = found.end()
                    return True
            elif token == b'"':
                return False
            if self.tokens <= 0:
                return False
        return False


def split(body: bytes, array: bytes, limit: int) -> Split | None:
    """
    Return the members of the object `body` is, and up to `limit` + 1 elements of its member `array`.

    None when it is no object, or has no end where one must be. Empty places between commas are no elements.
    """
    scan = _Scanner(body)
    scan.skip(_GAP)
    if scan.see() != b"{":
        return None
    scan.at += 1
    members: dict[bytes, bytes] = {}
    elements: list[bytes] | None = None
    while found := scan.skip(_KEY):
        key = found[1][1:-1]
        if key == array and scan.see() == b"[":
            elements = _elements(scan, limit)
            if elements is None or len(elements) > limit:
                return None if elements is None else Split(members, elements)
            continue
        value = scan.value()
        scan.tokens -= _MOST_TOKENS // _MOST_MEMBERS
        if value is None or scan.tokens <= 0:
            return None
        members[key] = value
    scan.skip(_SEPARATORS)
    if scan.see() != b"}" or body[scan.at + 1 :].strip():
        return None
    return Split(members, elements)


def _elements(scan: _Scanner, limit: int) -> list[bytes] | None:
    """Return the elements of the array that opens here, one more than `limit` at most; None when it has no end."""
    scan.at += 1
    elements: list[bytes] = []
    while True:
        scan.skip(_SEPARATORS)
        if scan.see() == b"]":
            scan.at += 1
            return elements
        value = scan.value()
        scan.skip(_GAP)
        if not value or scan.see() not in (b",", b"]"):
            return None
        elements.append(value)
        if len(elements) > limit:
            return elements
