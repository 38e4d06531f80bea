"""The console process, put together: it reads what the others wrote and shows it."""

import asyncio
import time
from importlib.metadata import version

from customhouse.app.books import balance_of
from customhouse.app.lanes import lanes
from customhouse.app.process import KINDS, Process, announcement
from customhouse.app.rules import newest
from customhouse.console.serve import Health, Sources, Standing, serve
from customhouse.ledger.balance import Balance
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.posting import LOGGED
from customhouse.state.embedded import EmbeddedState
from customhouse.telemetry.measure import read_all
from customhouse.telemetry.prometheus import Lag, render

_TICK = 0.1
_KEEP_SECONDS = 1.0


class Books:
    """The balance, struck at most once a second, however many ask."""

    def __init__(self, process: Process) -> None:
        """Open logs and states for reading."""
        place = process.workspace
        self._log = EmbeddedLog(place.log)
        self._pipeline = EmbeddedState(place.state("pipeline"), readonly=True)
        self._delivery = EmbeddedState(place.state("delivery"), readonly=True)
        self._struck: Balance | None = None
        self._at = 0.0

    def balance(self) -> Balance:
        """Return the trial balance, at most a second old."""
        if self._struck is None or time.monotonic() - self._at > _KEEP_SECONDS:
            self._struck, self._at = balance_of(self._log, self._pipeline, self._delivery), time.monotonic()
        return self._struck

    def close(self) -> None:
        """Let go of the files."""
        self._delivery.close()
        self._pipeline.close()
        self._log.close()


def run(process: Process) -> None:
    """Run the console process until it is told to stop."""
    asyncio.run(_run(process))


async def _run(process: Process) -> None:
    rules, books, stop = newest(process.workspace), Books(process), asyncio.Event()
    watching = asyncio.create_task(_watch(process, stop))
    sources = Sources(lambda: _metrics(process, books), lambda: _health(process, books), lambda: _standing(books))
    try:
        await serve(
            rules.configuration.console, sources, stop, lambda port: process.announce(rules.versions.config, port)
        )
    finally:
        watching.cancel()
        books.close()


async def _watch(process: Process, stop: asyncio.Event) -> None:
    while not process.stop.is_set():
        process.write_meters()
        await asyncio.sleep(_TICK)
    stop.set()


def _metrics(process: Process, books: Books) -> bytes:
    """Return everything that is measured: processes say their own, events are counted from the books."""
    struck = books.balance()
    said = lanes(process.workspace)
    lags = []
    for waiting in struck.waiting:
        if waiting.account == LOGGED:
            lags.append(Lag(waiting.events, topic="received"))
        else:
            name = waiting.account.removeprefix("owed:")
            lags.append(Lag(waiting.events, destination=name, seconds=said.get(name, {}).get("oldest_seconds")))
    return render(read_all(process.workspace.run), struck.postings, lags, struck.unaccounted)


def _health(process: Process, books: Books) -> Health:
    """Say whether every process is there and the books balance."""
    parts: dict[str, str] = {
        str(kind): "running" if announcement(process.workspace, kind) else "not running" for kind in KINDS
    }
    unaccounted = books.balance().unaccounted
    parts["books"] = "balanced" if unaccounted == 0 else f"{unaccounted} unaccounted"
    parts["version"] = version("customhouse")
    well = unaccounted == 0 and all(parts[kind] == "running" for kind in KINDS)
    return Health(ok=well, parts=parts)


def _standing(books: Books) -> Standing:
    struck = books.balance()
    return Standing(struck.received, struck.in_flight, struck.unaccounted)
