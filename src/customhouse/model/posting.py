"""
The lines of the books. A posting moves a count of events from one account to another, so the books balance by construction.

    received ─→ refused:<reason>
             └→ logged → dedupe → clock → validation → routing ─→ unrouted
                  (any stage) ─→ dropped:<reason> | quarantined:<reason>  └→ owed:<destination> ─→ delivered:<destination>
                                                                                                ├→ rejected:<destination>
                                                                                                └→ expired:<destination>
    copies   ─→ routing                an event owed to n destinations becomes n copies: n - 1 enter here
    replayed ─→ logged                 out of quarantine and on the road again: quarantined:<reason> → replayed → logged

`received` and `copies` are entrances (their balance is negative), exits have positive balances, everything between is
exactly what is in flight.
"""

from collections.abc import Iterable

from msgspec import Struct

RECEIVED = "received"
LOGGED = "logged"
COPIES = "copies"
REPLAYED = "replayed"
UNROUTED = "unrouted"

HOUR = 3_600_000_000
"""Microseconds in an hour."""


class Posting(Struct, frozen=True, array_like=True):
    """One line of the books."""

    source: str
    hour: int
    """Hours since 1970 of the events' `received_at`."""
    moved_from: str
    moved_to: str
    count: int


class Tally:
    """Adds up moves until they are written as postings. Not thread-safe; one per batch."""

    __slots__ = ("_counts",)

    def __init__(self, postings: Iterable[Posting] = ()) -> None:
        """Start from nothing, or from postings already made."""
        self._counts: dict[tuple[str, int, str, str], int] = {}
        for p in postings:
            self.move(p.source, p.hour, p.moved_from, p.moved_to, p.count)

    def move(self, source: str, hour: int, moved_from: str, moved_to: str, count: int = 1) -> None:
        """Move `count` events of a source and hour from one account to another."""
        if count:
            key = (source, hour, moved_from, moved_to)
            self._counts[key] = self._counts.get(key, 0) + count

    def postings(self) -> list[Posting]:
        """Return the moves as postings, in a fixed order."""
        return [Posting(*key, count) for key, count in sorted(self._counts.items()) if count]


def refused(reason: str) -> str:
    """Return the account of events the door did not take."""
    return f"refused:{reason}"


def dropped(reason: str) -> str:
    """Return the account of events that ended on purpose."""
    return f"dropped:{reason}"


def quarantined(reason: str) -> str:
    """Return the account of events kept whole until somebody decides."""
    return f"quarantined:{reason}"


def owed(destination: str) -> str:
    """Return the account of copies a destination has yet to get."""
    return f"owed:{destination}"


def delivered(destination: str) -> str:
    """Return the account of copies a destination has."""
    return f"delivered:{destination}"


def rejected(destination: str) -> str:
    """Return the account of copies a destination will never take."""
    return f"rejected:{destination}"


def expired(destination: str) -> str:
    """Return the account of copies that grew too old to deliver."""
    return f"expired:{destination}"
