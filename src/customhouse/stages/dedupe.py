"""
Dedupe: has an event with this source and message id been accepted before, within the window of days?

Every SDK sends again what it is not sure of, so the same event arrives more than once. Each id has an owner, the
position of the first event that had it; an event is a duplicate only of another position, so that a re-run judges alike.
An id whose owner lies in quarantine lets the event pass that is sent again with another content, or replayed.

Reasons: `duplicate` (dropped); `duplicate_conflict` (flag) when the content differs from the owner's: the detail of the
Drop then begins with that word and a colon. The stage writes no field and has no configuration besides the window.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec
import numpy as np
from msgspec import Struct
from xxhash import xxh3_128_digest

from customhouse.model.event import Event
from customhouse.model.outcome import Drop, Outcome, Quarantine, Scope
from customhouse.state.identries import NOBODY, Days, Entries, Words, claim, owner, pack, unpack

DUPLICATE = "duplicate"
CONFLICT = "duplicate_conflict"
DAY = 86_400_000_000
"""Microseconds in a day."""


class DedupeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far back a message id is remembered."""

    window_days: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=30,
            description="Days, by the time of receipt in UTC, within which a source's message id counts only once.",
        ),
    ] = 7


class IdIndex(Protocol):
    """The memory of the stage: claims on ids, by day of receipt. Of the claims on an id, the smallest is the strongest."""

    def find(self, keys: Words, since: Days) -> tuple[Words, Words]:
        """Return for each key its strongest claim (or NOBODY) made on the day `since` or later, and its fingerprint."""

    def add(self, entries: Entries) -> None:
        """Enter claims, in any order and as often as you like. Raises Unavailable."""

    def days(self) -> list[int]:
        """Return the days it holds entries of, oldest first."""

    def forget(self, before_day: int) -> None:
        """Drop all days before this one."""


class _Batch:
    """One batch of events, with their keys and what the index held of them when the batch was met."""

    def __init__(self, events: Sequence[Event], digests: list[bytes], days: Days, since: Days) -> None:
        self.events = list(events)
        self.digests = digests
        self.days = days
        self.since = since
        self.keys = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)
        self.claims: Words
        self.fingerprints: Words
        self.repeated: dict[bytes, list[int]] = {}
        """By key that stands here more than once: the places still to be looked at by `reconsider`."""
        self.entered: dict[bytes, list[tuple[int, int, int]]] = defaultdict(list)

    def has(self, events: Sequence[Event]) -> bool:
        """Tell whether these are its events. Cheap for the same objects, whatever sequence they stand in."""
        return self.events == list(events)

    def meet(self, index: IdIndex) -> None:
        """Ask the index about every key, and find those that stand here more than once."""
        self.claims, self.fingerprints = index.find(self.keys, self.since)
        if len(set(self.digests)) < len(self.digests):
            often = Counter(self.digests)
            for place, key in enumerate(self.digests):
                if often[key] > 1:
                    self.repeated.setdefault(key, []).append(place)

    def suspects(self) -> list[int]:
        """Return the places of events that may be duplicates, in order."""
        known = (self.claims != NOBODY).nonzero()[0].tolist()
        return sorted({*known, *(place for places in self.repeated.values() for place in places)})

    def enter(self, place: int, *, quarantined: bool) -> None:
        """Note a claim of this batch, which the index does not have yet."""
        event = self.events[place]
        claimed = (int(self.days[place]), claim(event.position, quarantined=quarantined), event.fingerprint)
        self.entered[self.digests[place]].append(claimed)

    def verdict(self, place: int) -> Drop | None:
        """Judge one event by the index and by what was entered of this batch: the Drop, or None when it passes."""
        held = [entered[1:] for entered in self.entered[self.digests[place]] if entered[0] >= self.since[place]]
        word, fingerprint = min([(int(self.claims[place]), int(self.fingerprints[place])), *held])
        return None if word == NOBODY else _verdict(self.events[place], word, fingerprint)


def _verdict(event: Event, word: int, fingerprint: int) -> Drop | None:
    """Judge an event by the strongest claim on its id."""
    position, quarantined = owner(word)
    replayed = event.replay_of >= 0
    same = fingerprint == event.fingerprint
    if position == event.position or (quarantined and (replayed or not same)):
        return None
    # A replayed event joins the road at its end: whoever has been accepted meanwhile was there before it.
    if position > event.position and not replayed:
        return None
    detail = f"of the event at position {position}"
    return Drop(DUPLICATE, detail, () if same else (CONFLICT,))


class Dedupe:
    """The first stage: one of each. See the module for the rule."""

    name = "dedupe"
    writes: frozenset[str] = frozenset()

    def __init__(self, index: IdIndex, window_days: int, secret: int) -> None:
        """Remember in `index`; `secret` (64 bits, one per workspace) keys the hash, so that nobody can aim collisions."""
        self._index = index
        self._window = window_days
        self._secret = secret
        self._batch: _Batch | None = None
        self._overruled: dict[tuple[int, int, int], Drop | None] = {}

    def judge(self, events: Sequence[Event], scope: Scope) -> list[Outcome]:
        """Drop every event whose id has another owner; of an id's events in the batch the first counts as accepted."""
        if self._overruled:
            again = [_which(event) for event in events]
            if all(which in self._overruled for which in again):
                return [self._overruled[which] or event for which, event in zip(again, events, strict=True)]
            self._overruled = {}
        batch = self._batch = self._met(events, scope.now)
        outcomes: list[Outcome] = list(events)
        for place in batch.suspects():
            drop = batch.verdict(place)
            if drop is not None:
                outcomes[place] = drop
            elif batch.digests[place] in batch.repeated:
                batch.enter(place, quarantined=False)
        batch.entered.clear()
        return outcomes

    def reconsider(self, events: Sequence[Event], outcomes: Sequence[Outcome], scope: Scope) -> list[int]:
        """
        Return the places of duplicates whose owner in this batch has ended in quarantine, at most one of an id.

        Also those that are duplicates now, but of another owner than they were told, or of none. The next `judge` of
        the events at these places, together or one by one, gives the new verdict. An empty list ends the loop.
        """
        batch = self._batch
        if batch is None or not batch.has(events):
            batch = self._batch = self._met(events, scope.now)
        self._overruled = {}
        places: list[int] = []
        for key, waiting in list(batch.repeated.items()):
            asked, left = self._reconsider(batch, waiting, outcomes)
            places += asked
            if left:
                batch.repeated[key] = left
            else:
                del batch.repeated[key]
        return sorted(places)

    def learn(self, events: Sequence[Event], outcomes: Sequence[Outcome], scope: Scope) -> bytes:
        """Return the claims of all events but the duplicates, 36 bytes each: their ids are owned from now on."""
        batch = self._batch
        if batch is None or not batch.has(events):
            batch = self._hashed(events, scope.now)
        self._batch, self._overruled = None, {}
        positions = np.array([event.position for event in events], np.uint64)
        fingerprints = np.array([event.fingerprint for event in events], np.uint64)
        entries = Entries(batch.days, batch.keys, positions, fingerprints)
        ended = [place for place, outcome in enumerate(outcomes) if type(outcome) is not Event]
        if ended:
            held = [place for place in ended if isinstance(outcomes[place], Quarantine)]
            positions[held] = np.uint64(NOBODY - 1) - positions[held]
            mine = np.ones(len(events), np.bool_)
            mine[[place for place in ended if _ours(outcomes[place])]] = False
            entries = entries.take(mine.nonzero()[0])
        return pack(entries) if len(entries.days) else b""

    def remember(self, memory: bytes) -> None:
        """Enter what `learn` said. Drops the days that no event of the two newest days can look back to."""
        if not memory:
            return
        self._index.add(unpack(memory))
        # The second newest day decides, so that one batch stamped by a clock gone wrong does not cost the whole memory.
        days = self._index.days()
        if len(days) > self._window + 1:
            self._index.forget(days[-2] - self._window)

    def _reconsider(
        self, batch: _Batch, waiting: list[int], outcomes: Sequence[Outcome]
    ) -> tuple[list[int], list[int]]:
        """Go through the events of one id as far as their fates are known: whom to ask again, and who waits for that."""
        asked: list[int] = []
        for nth, place in enumerate(waiting):
            outcome, drop = outcomes[place], batch.verdict(place)
            if drop is None and not _ours(outcome):
                batch.enter(place, quarantined=isinstance(outcome, Quarantine))
            elif drop != outcome:
                self._overruled[_which(batch.events[place])] = drop
                asked.append(place)
                if drop is None:
                    return asked, waiting[nth:]
        return asked, []

    def _met(self, events: Sequence[Event], now: int) -> _Batch:
        """Return a batch that has met the index."""
        batch = self._hashed(events, now)
        batch.meet(self._index)
        return batch

    def _hashed(self, events: Sequence[Event], now: int) -> _Batch:
        """Return a batch with keys and days."""
        secret = self._secret
        # No source's name holds a zero character, so no two pairs make one text.
        digests = [xxh3_128_digest(f"{event.source}\0{event.message_id}".encode(), secret) for event in events]
        # A replayed event joins the road at its end: its day is today, however long ago it was received.
        times = [event.received_at if event.replay_of < 0 else now for event in events]
        days = np.array(times, np.int64) // DAY
        return _Batch(events, digests, days, days - self._window)


def _which(event: Event) -> tuple[int, int, int]:
    """Return what tells an event from its replays, repaired or not, which share its position."""
    return event.position, event.fingerprint, event.replay_of


def _ours(outcome: Outcome) -> bool:
    """Tell whether this stage dropped the event."""
    return isinstance(outcome, Drop) and outcome.reason == DUPLICATE
