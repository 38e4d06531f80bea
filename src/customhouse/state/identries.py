"""
Entries of the index of ids: who owns an id, as columns, and packed for the owed frame.

They are columns because the index works on whole batches at C speed, and packed because what a batch taught the index
travels in that batch's frame: the log alone can rebuild it. Pure: numpy and nothing else.

A claim is one 64-bit word that says who owns an id and how firmly; the smaller word is the stronger claim. An accepted
event claims with its position, so the earliest wins. A quarantined one claims with its position counted down from the
top, so it gives way to any accepted one and, among its like, the latest wins. Two claims of one position are told apart
by fingerprint, the smaller first. Taking the smallest is commutative, associative and idempotent, so entries may arrive
twice, late and in any order.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from customhouse.model.errors import Broken

Words = NDArray[np.uint64]
Days = NDArray[np.int64]

NOBODY = 2**64 - 1
"""The weakest word of all: the claim of an id that nobody owns."""
TOP_POSITION = 2**63 - 2
"""The greatest position a claim can hold."""
_QUARANTINED = 2**63
_PREFIX = b"ids\x01\x00\x00\x00\x00"
_ROW = 36
"""Bytes of one packed entry: sixteen of key, eight each of claim and fingerprint, four of day."""


class Entries(NamedTuple):
    """Columns of equal length; row by row, one event's claim on its id."""

    days: Days
    """Days since 1970 in UTC, of `received_at`."""
    keys: Words
    """Two words a row: the keyed 128-bit hash of source and message id."""
    claims: Words
    fingerprints: Words

    def take(self, places: NDArray[np.intp]) -> "Entries":
        """Return the rows at these places."""
        return Entries(self.days[places], self.keys[places], self.claims[places], self.fingerprints[places])

    def cut(self, start: int, end: int) -> "Entries":
        """Return the rows from `start` on, up to but not including `end`."""
        part = slice(start, end)
        return Entries(self.days[part], self.keys[part], self.claims[part], self.fingerprints[part])


def claim(position: int, *, quarantined: bool) -> int:
    """Return the claim of the event at `position` on its id."""
    return NOBODY - 1 - position if quarantined else position


def owner(word: int) -> tuple[int, bool]:
    """Return the position a claim was made with, and whether that event lies in quarantine."""
    return (NOBODY - 1 - word, True) if word >= _QUARANTINED else (word, False)


def pack(entries: Entries) -> bytes:
    """Return entries as bytes, 36 each, behind a word that names the format."""
    days, keys, claims, fingerprints = entries
    columns = ((keys, "<u8"), (claims, "<u8"), (fingerprints, "<u8"), (days, "<i4"))
    return b"".join((_PREFIX, *(column.astype(kind, copy=False).tobytes() for column, kind in columns)))


def unpack(packed: bytes) -> Entries:
    """Return what was packed, as far as possible without copying. Raises Broken for an unknown format or length."""
    size, rest = divmod(len(packed) - len(_PREFIX), _ROW)
    if packed[: len(_PREFIX)] != _PREFIX or rest:
        raise Broken("entries of the id index are of an unknown format or were cut off")
    at = len(_PREFIX)
    words = np.frombuffer(packed, "<u8", 4 * size, at)
    days = np.frombuffer(packed, "<i4", size, at + 32 * size)
    return Entries(
        days.astype(np.int64), words[: 2 * size].reshape(-1, 2), words[2 * size : 3 * size], words[3 * size :]
    )


def strongest(entries: Entries) -> Entries:
    """Return one row for each day and key: its strongest. The same object when each stands there once already."""
    first = np.sort(entries.keys[:, 0])
    if not (first[1:] == first[:-1]).any():
        return entries
    days, keys, claims, fingerprints = entries
    order = np.lexsort((fingerprints, claims, keys[:, 1], keys[:, 0], days))
    ordered = entries.take(order)
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (ordered.days[1:] != ordered.days[:-1]) | (ordered.keys[1:] != ordered.keys[:-1]).any(axis=1)
    return entries.take(order[fresh])
