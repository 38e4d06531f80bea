"""
Asking the owners: replay and discard piece by piece, and what a replay would do.

Nothing here writes into a state. What is asked for is carried out by the process that owns the events, under the plan
and configuration of now, and leaves a line in its audit.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct, structs

from customhouse.app.lanes import lanes
from customhouse.app.process import announcement
from customhouse.app.windows.quarantine.entries import Entry, Holders, whole
from customhouse.console.pages.quarantine_data import Foreseen, Lane
from customhouse.model.errors import Unavailable
from customhouse.model.frames import Quarantined
from customhouse.pipeline.quarantine import MOST_BYTES, MOST_EVENTS
from customhouse.state.jobs import Answer, Jobs

PIECE = 500
_PIECE_BYTES = MOST_BYTES // 2
_SMALL, _LARGE = (PIECE, _PIECE_BYTES), (MOST_EVENTS, MOST_BYTES)
"""How many events and repaired bytes one job is about: in acts, so that progress shows, and in previews."""
_TOLD = 8
_READY = ("running", "backing off")
Mend = Callable[[Quarantined], bytes | None]
"""Returns what takes the place of an event's own bytes; None leaves them."""


class Sums(Struct):
    """What came of an act so far."""

    asked: int = 0
    done: int = 0
    again: int = 0
    """Held again, for whatever reason."""
    missing: int = 0
    """Not there any more, or their lane had no room."""


class Piece(Struct, frozen=True):
    """What one job is about: events of one owner."""

    owner: str
    entries: list[Entry]
    repaired: Mapping[str, str] = {}

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the job's arguments."""
        said: dict[str, Any] = {"ids": [_plain(entry.id) for entry in self.entries]}
        if self.owner == "delivery":
            said["lanes"] = [entry.destination for entry in self.entries]
        if self.repaired:
            said["repaired"] = dict(self.repaired)
        return said


def carry_out(
    states: Holders, verb: str, entries: Iterable[Entry], *, window: str, mend: Mend | None = None
) -> Iterator[Sums]:
    """
    Have the owners do something with events, piece by piece; yield the sums after each piece.

    Raises Unavailable when an owner does not answer: that piece was left as a job, and nothing behind it was asked.
    """
    sums = Sums()
    for piece in pieces(states, entries, mend if verb == "replay" else None):
        answer = ask(states, piece.owner, verb, piece.arguments, window)
        if not answer.ok:
            raise Unavailable(answer.message)
        done = int(answer.details.get("done", 0))
        sums.asked += len(piece.entries)
        sums.done += done
        sums.again += int(answer.details.get("again", 0))
        sums.missing += len(piece.entries) - done
        yield sums


def ask(states: Holders, owner: str, verb: str, arguments: dict[str, Any], window: str) -> Answer:
    """Ask an owner. One that does not run is not waited for: its job is left. Raises Unavailable."""
    runs = announcement(states.workspace, owner) is not None
    jobs = Jobs(states.workspace.jobs(owner))
    try:
        return jobs.ask(verb, arguments, timeout=60.0 if runs else 0.0, asked_by=window)
    except Unavailable as error:
        if runs:
            raise
        count = len(arguments["ids"])
        words = f"the {owner} does not run. The job for {count:,} events was left and will be done once it runs"
        raise Unavailable(f"{words}: start it with `customhouse run`") from error


def pieces(
    states: Holders, entries: Iterable[Entry], mend: Mend | None, bounds: tuple[int, int] = _SMALL
) -> Iterator[Piece]:
    """Cut events into pieces of one owner each, bounded in events and bytes."""
    waiting: dict[str, list[Entry]] = {"pipeline": [], "delivery": []}
    for entry in entries:
        owner = "delivery" if entry.destination else "pipeline"
        waiting[owner].append(entry)
        if len(waiting[owner]) == bounds[0]:
            yield from _mended(states, Piece(owner, waiting[owner]), mend, bounds[1])
            waiting[owner] = []
    for owner, left in waiting.items():
        if left:
            yield from _mended(states, Piece(owner, left), mend, bounds[1])


def _mended(states: Holders, piece: Piece, mend: Mend | None, most: int) -> Iterator[Piece]:
    """Give events their repaired bodies; what is too much for one job goes in several."""
    owner, entries = piece.owner, piece.entries
    if mend is None or owner == "delivery":
        yield piece
        return
    part: list[Entry] = []
    bodies: dict[str, str] = {}
    size = 0
    originals = {one.id.hex(): one for one in whole(states, [e.id for e in entries]) if isinstance(one, Quarantined)}
    for entry in entries:
        one = originals.get(_plain(entry.id))
        body = mend(one) if one is not None else None
        if part and size + len(body or b"") > most:
            yield Piece(owner, part, bodies)
            part, bodies, size = [], {}, 0
        part.append(entry)
        if body is not None:
            bodies[_plain(entry.id)] = body.decode("utf-8", "replace")
            size += len(body)
    yield Piece(owner, part, bodies)


def foresee(
    states: Holders, verb: str, entries: Iterable[Entry], count: int | None, mend: Mend | None = None
) -> tuple[Foreseen, list[list[str]]]:
    """
    Return what an act would do, judging at most the first two thousand events, and the verdict on each of those.

    `count` says how many there are, when that is known better. Raises Unavailable when the pipeline cannot be asked.
    """
    taken = list(islice(entries, MOST_EVENTS))
    total = max(count or 0, len(taken))
    if verb == "discard":
        return Foreseen(count=total, judged=len(taken), upto=_newest(taken)), []
    quarantined = [entry for entry in taken if not entry.destination]
    # One job, so that events that share a message id meet in one batch, as their replay will have it.
    first = next(pieces(states, quarantined, mend, _LARGE), Piece("pipeline", []))
    said = preview(states, first.arguments) if first.entries else {"verdicts": [], "copies": {}}
    judged = len(taken) - len(quarantined) + len(first.entries)
    refused = Counter(entry.destination for entry in taken if entry.destination)
    found = _summed(total, judged, said, _lanes(states, refused))
    return structs.replace(found, upto=_newest(taken)), said["verdicts"]


def preview(states: Holders, arguments: dict[str, Any]) -> dict[str, Any]:
    """Ask the pipeline what a replay would do. Raises Unavailable."""
    if announcement(states.workspace, "pipeline") is None:
        raise Unavailable("the pipeline does not run, so nobody can judge the events: start it with `customhouse run`")
    answer = Jobs(states.workspace.jobs("pipeline")).ask("preview", arguments, timeout=30.0)
    if not answer.ok:
        raise Unavailable(answer.message)
    return answer.details


def _summed(total: int, judged: int, said: Mapping[str, Any], ways: list[Lane]) -> Foreseen:
    verdicts = said["verdicts"]
    held: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    details: Counter[str] = Counter()
    for _, fate, detail in verdicts:
        kind, _, word = fate.partition(":")
        if kind == "quarantined":
            held[word] += 1
            details[detail] += bool(detail)
        elif kind == "dropped":
            dropped[word] += 1
    return Foreseen(
        count=total, judged=judged, passing=len(verdicts) - held.total() - dropped.total(),
        held=dict(held.most_common()), dropped=dict(dropped.most_common()),
        copies=dict(sorted(said["copies"].items())), lanes=ways,
        details=[detail for detail, n in details.most_common(_TOLD) if n],
    )  # fmt: skip


def _lanes(states: Holders, refused: Mapping[str, int]) -> list[Lane]:
    """Return the lanes refused events would go to again, and how those are now."""
    said = lanes(states.workspace)
    ways = []
    for name, count in sorted(refused.items()):
        state = str(said[name].get("state", "unknown")) if name in said else "no longer configured"
        ways.append(Lane(name, count, state, state in _READY))
    return ways


def _newest(taken: list[Entry]) -> str:
    return max((entry.id for entry in taken), default="")


def _plain(text: str) -> str:
    return text.replace("-", "")
