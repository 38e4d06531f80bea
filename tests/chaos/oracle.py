"""
The judge outside the house: holds what senders were told against what the house shows through its windows.

It reads the lake, the quarantine and the balance as a user does, and the requests a destination got; it knows nothing of
frames, bookmarks or state. Every promise that was broken is one line; no line is the proof.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from house import House
from load import Journal
from lying import LyingServer

_ROWS = """select message_id, source, anonymous_id, json_extract(context, '$.seq')::bigint as seq,
    owed_partition, owed_upto, position from events order by owed_partition, owed_upto, position"""
_SHOWN = 5


@dataclass(frozen=True)
class Seen:
    """What the house shows in the end."""

    books: dict[str, Any]
    lake: list[dict[str, Any]]
    held: list[dict[str, Any]]
    trail: int


def judge(house: House, journal: Journal, *, seconds: float = 90.0, parcels: bool = True, **hooks: LyingServer) -> str:
    """
    Wait until nothing is in flight, compare everything, and return a line for the report.

    `hooks` are the webhooks by name. `parcels`: what one said yes to came again, if at all, under its own idempotency key; that cannot be so when
    it also said no to parts of it and the lane was killed in between. Raises AssertionError with every broken promise.
    """
    began = time.monotonic()
    books = house.settled(seconds, acknowledged=journal.copies_acknowledged)
    settled_in = time.monotonic() - began
    seen = Seen(books, house.sql(_ROWS), _held(house), _trail(house, books["acknowledged"]))
    broken = [*_ids(journal, seen), *_books(journal, seen), *_order(journal, seen.lake)]
    for name, hook in hooks.items():
        broken += [f"{name}: {each}" for each in _hook(journal, seen, (name, hook), parcels=parcels)]
    assert not broken, "\n".join(["promises were broken:", *broken, f"books: {books}"])
    return (
        f"{len(journal.acknowledged):,} ids acknowledged ({journal.copies_acknowledged:,} copies, "
        f"{len(journal.sent) - len(journal.acknowledged):,} ids unknown), {len(seen.lake):,} in the lake, "
        f"{len(seen.held):,} in quarantine, {books['accounts'].get('dropped:duplicate', 0):,} duplicates dropped, "
        f"unaccounted {books['unaccounted']}, troubles {dict(journal.troubles)}, "
        f"longest wait {journal.longest_wait:.1f} s, settled in {settled_in:.1f} s"
    )


def _held(house: House) -> list[dict[str, Any]]:
    return house.cli_json("quarantine", "list", "--limit", "1000000")


def _trail(house: House, expected: int) -> int:
    """Return how many judgements the trail tells of; it is stored a little later than the lake."""
    until = time.monotonic() + 30
    while True:
        (row,) = house.sql("select count(*) as n from trail where origin = 'received'")
        if row["n"] >= expected or time.monotonic() > until:
            return row["n"]
        time.sleep(0.5)


def _ids(journal: Journal, seen: Seen) -> Iterator[str]:
    """Every acknowledged id is in the lake exactly once, or in quarantine for what is wrong with it; no other is."""
    lake = Counter(row["message_id"] for row in seen.lake)
    held = {entry["message_id"]: entry["reason"] for entry in seen.held}
    good = {id_ for id_ in journal.acknowledged if not journal.sent[id_].bad}
    bad = journal.acknowledged - good
    yield from _told("acknowledged, but not in the lake", good - lake.keys())
    yield from _told("more than once in the lake", (id_ for id_, count in lake.items() if count > 1))
    yield from _told("in the lake, but nobody sent it", lake.keys() - journal.sent.keys())
    yield from _told("acknowledged, but not in quarantine", bad - held.keys())
    strangers = (id_ for id_, reason in held.items() if id_ not in journal.sent or journal.sent[id_].bad != reason)
    yield from _told("in quarantine for another reason than its own", strangers)
    changed = (
        row["message_id"]
        for row in seen.lake
        if (made := journal.sent.get(row["message_id"]))
        and (made.source, made.key, made.seq) != (row["source"], row["anonymous_id"], row["seq"])
    )
    yield from _told("in the lake with another sender's facts", changed)
    yield from _told("surprising answers", journal.surprises)


def _books(journal: Journal, seen: Seen) -> Iterator[str]:
    """The books agree with what the oracle counted."""
    accounts, logged = seen.books["accounts"], seen.books["acknowledged"]
    quarantined = sum(count for name, count in accounts.items() if name.startswith("quarantined:"))
    if not journal.copies_acknowledged <= logged <= journal.copies_sent:
        yield f"{logged} logged, of {journal.copies_acknowledged} acknowledged and {journal.copies_sent} sent"
    ends = {
        "in the lake": (accounts.get("delivered:lake", 0), len(seen.lake)),
        "in quarantine": (quarantined, len(seen.held)),
        "dropped as duplicates": (accounts.get("dropped:duplicate", 0), logged - len(seen.lake) - quarantined),
        "in the trail": (logged, seen.trail),
        "unaccounted": (seen.books["unaccounted"], 0),
    }
    for what, (books, counted) in ends.items():
        if books != counted:
            yield f"{what}: the books say {books}, the oracle counts {counted}"
    for name in accounts:
        if name.startswith(("rejected:", "expired:", "unrouted")):
            yield f"{name}: {accounts[name]} events ended where none should"


def _order(journal: Journal, rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Within a key, what was acknowledged stands in the order it was numbered in, by batch and by position."""
    last: dict[tuple[str, str], tuple[int, int]] = {}
    for row in rows:
        if row["message_id"] not in journal.acknowledged:
            continue
        key = (row["source"], row["anonymous_id"])
        seq, position = last.get(key, (-1, -1))
        if row["seq"] <= seq or row["position"] <= position:
            yield f"order of {key}: number {row['seq']} at {row['position']} comes after {seq} at {position}"
        last[key] = (row["seq"], row["position"])


def _hook(journal: Journal, seen: Seen, named: tuple[str, LyingServer], *, parcels: bool) -> Iterator[str]:
    """The webhook took every event; again only under the same key and with the same companions; each key in order."""
    name, hook = named
    first: dict[str, str] = {}
    contents: dict[str, list[str]] = {}
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for request in hook.requests():
        if request.answer != "ok":
            continue
        key, events = request.headers["idempotency-key"], request.json()["events"]
        ids = [event["message_id"] for event in events]
        if contents.setdefault(key, ids) != ids:
            yield f"idempotency key {key} stands for two different parcels"
        for event in events:
            if event["message_id"] not in first:
                numbers[event["source"], event["anonymous_id"]] += (
                    [event["context"]["seq"]] if event["message_id"] in journal.acknowledged else []
                )
            if first.setdefault(event["message_id"], key) != key and parcels:
                yield f"{event['message_id']} was sent again under another idempotency key"
    lake = {row["message_id"] for row in seen.lake}
    yield from _told("in the lake, but not at the webhook", lake - first.keys())
    yield from _told("at the webhook, but not in the lake", first.keys() - lake)
    delivered = seen.books["accounts"].get(f"delivered:{name}", 0)
    if delivered != len(first):
        yield f"delivered to the webhook: the books say {delivered}, it got {len(first)}"
    yield from _told("out of order at the webhook", (k for k, seqs in numbers.items() if seqs != sorted(seqs)))


def _told(what: str, ids: Iterable[Any]) -> Iterator[str]:
    found = list(ids)
    if found:
        yield f"{what}: {len(found)}, such as {found[:_SHOWN]}"
