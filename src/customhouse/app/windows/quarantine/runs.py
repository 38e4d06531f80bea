"""
Acts that take their time: carried out by one thread of the console, piece by piece, while pages ask how far they are.

What was asked of the owners is in their audits for ever; a run is only what this console remembers of it, and the newest
few of them. When the console ends, a piece that was asked for is done, and what lies behind it is not.
"""

import queue
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec
from msgspec import Struct

from customhouse.app.windows.quarantine.acts import Mend, carry_out
from customhouse.app.windows.quarantine.entries import Entry, chosen, holders
from customhouse.app.workspace import Workspace
from customhouse.console.pages.quarantine_data import Choice, Run, Verb
from customhouse.model.errors import CustomhouseError, Unavailable

_KEPT = 20
_WAITING = 4
_LINKS = 20
_WINDOW = "console"


class Order(Struct, frozen=True):
    """What somebody asked for."""

    verb: Verb
    choice: Choice
    about: str
    total: int
    """How many events it is about: so many, newest first, and none that come later."""
    mend: Mend | None = None


class Runs:
    """The acts of this console. Ask from any thread."""

    def __init__(self, workspace: Workspace, report: Callable[[Exception], None]) -> None:
        """Begin with none; `report` is told of failures that are nobody's outage."""
        self._workspace = workspace
        self._report = report
        self._orders: queue.Queue[tuple[str, Order] | None] = queue.Queue(_WAITING)
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._closed = False
        self._thread: threading.Thread | None = None

    def begin(self, order: Order) -> str:
        """Have something carried out; return the run's id. Raises Unavailable when too much is waiting."""
        run_id = secrets.token_hex(6)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="runs", daemon=True)
            self._thread.start()
        try:
            self._orders.put_nowait((run_id, order))
        except queue.Full:
            raise Unavailable("other replays are still under way: wait until they have ended, and ask again") from None
        refs = order.choice.refs[:_LINKS]
        self._runs.setdefault(
            run_id,
            Run(
                id=run_id, verb=order.verb, about=order.about, total=order.total, asked=0, done=0, again=0, missing=0,
                problem="", finished=False, back=order.choice, refs=refs,
            ),
        )  # fmt: skip
        while len(self._runs) > _KEPT:
            self._runs.popitem(last=False)
        return run_id

    def run(self, run_id: str) -> Run | None:
        """Return how far a run is; None when this console knows of none."""
        return self._runs.get(run_id)

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        if self._thread is not None:
            while not self._orders.empty():
                self._orders.get_nowait()
            self._orders.put(None)

    def _work(self) -> None:
        while (waiting := self._orders.get()) is not None:
            run_id, order = waiting
            problem = ""
            try:
                self._carry_out(run_id, order)
            except CustomhouseError as error:
                problem = str(error)
            except Exception as error:  # noqa: BLE001  # a bug of ours ends this run, and no other
                self._report(error)
                problem = "this failed by a mistake in Customhouse; its log tells where. Please report it"
            self._note(run_id, finished=True, problem=problem)

    def _carry_out(self, run_id: str, order: Order) -> None:
        told: list[str] = []
        with holders(self._workspace) as states:
            entries = _noting(islice(chosen(states, order.choice), order.total), told)
            for sums in carry_out(states, order.verb, entries, window=_WINDOW, mend=order.mend):
                self._note(
                    run_id, asked=sums.asked, done=sums.done, again=sums.again, missing=sums.missing, refs=tuple(told)
                )  # fmt: skip
                if self._closed:
                    raise Unavailable("the console ended meanwhile; what was not asked for yet is as it was")

    def _note(self, run_id: str, **changes: object) -> None:
        if (known := self._runs.get(run_id)) is not None:
            self._runs[run_id] = msgspec.structs.replace(known, **changes)


def _noting(entries: Iterator[Entry], told: list[str]) -> Iterator[Entry]:
    """Pass events on, and note the first of them."""
    for entry in entries:
        if len(told) < _LINKS:
            told.append(entry.ref)
        yield entry
