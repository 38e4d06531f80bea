"""The console process, put together: it watches what the others wrote, and shows it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from customhouse.app.lanes import lanes
from customhouse.app.process import KINDS, Process, announcement
from customhouse.app.rules import newest
from customhouse.app.windows.alarms import AlarmWatch
from customhouse.app.windows.configuration import ConfigurationOf
from customhouse.app.windows.event import EventOf
from customhouse.app.windows.lanes import AlarmsOf, DestinationsOf
from customhouse.app.windows.live import LiveOf
from customhouse.app.windows.overview import OverviewOf
from customhouse.app.windows.persons import Persons
from customhouse.app.windows.quarantine.desk import QuarantineOf
from customhouse.app.windows.watcher import Watcher
from customhouse.app.windows.window import Window
from customhouse.console.access import Access
from customhouse.console.application import Health, Probes, application
from customhouse.console.config import ConsoleConfig
from customhouse.console.desk import Desk, Page
from customhouse.console.pages.alarms import alarms_page
from customhouse.console.pages.configuration import configuration_page
from customhouse.console.pages.destinations import destinations_page
from customhouse.console.pages.event import event_page
from customhouse.console.pages.live import live_page
from customhouse.console.pages.overview import overview_page
from customhouse.console.pages.quarantine import quarantine_page
from customhouse.console.render import Templates
from customhouse.console.serve import serve
from customhouse.console.streams import Streams
from customhouse.model.errors import Unavailable
from customhouse.model.posting import LOGGED
from customhouse.settings import resolve
from customhouse.telemetry.measure import read_all
from customhouse.telemetry.prometheus import Lag, render

_TICK = 0.1


class House:
    """What the console looks at, and who looks: opened once per process."""

    def __init__(self, process: Process, config: ConsoleConfig) -> None:
        """Open everything for reading. Raises Misconfigured when a secret cannot be had, Unavailable."""
        place = process.workspace
        self.process = process
        self.window = Window(place)
        self.watcher = Watcher(self.window)
        secrets = {
            name: resolve(written, place.root, f"customhouse.yaml: console.{name}") if written else None
            for name, written in (("password", config.password), ("token", config.token))
        }
        self.access = Access(place.reference_key(), secrets["password"], secrets["token"])
        self.desk = Desk(Templates(), self.access)
        self.alarms = AlarmWatch(process, lambda: self.desk.read(self.watcher.look))
        self.desk.strip = self.alarms.strip
        self.persons = Persons(place.reference_key())
        self.live = LiveOf(place, self.persons)
        self.streams = Streams()
        self.quarantine = QuarantineOf(
            place, lambda error: process.logger.failed("console.quarantine_failed", error), self.persons
        )
        self.desk.report = lambda error: process.logger.failed("console.page_failed", error)

    def pages(self) -> list[Page]:
        """Return the pages in the order in which people need them."""
        destinations = DestinationsOf(self.window.workspace, self.watcher)
        return [
            overview_page(self.desk, OverviewOf(self.watcher, destinations.all)),
            live_page(self.desk, self.live, self.streams),
            event_page(self.desk, EventOf(self.process.workspace, self.persons)),
            quarantine_page(self.desk, self.quarantine),
            destinations_page(self.desk, destinations),
            configuration_page(self.desk, ConfigurationOf(self.window.workspace)),
            alarms_page(self.desk, AlarmsOf(self.alarms)),
        ]

    def close(self) -> None:
        """Keep the history, and let go of the files."""
        self.desk.close()
        self.live.close()
        self.quarantine.close()
        with self.process.chore("history"):
            self.watcher.save()
        self.window.close()


def run(process: Process) -> None:
    """Run the console process until it is told to stop."""
    asyncio.run(_run(process))


async def _run(process: Process) -> None:
    rules, stop = newest(process.workspace), asyncio.Event()
    with _opened(process, rules.configuration.console) as house:
        watching = asyncio.create_task(_watch(house, stop))
        alarms = asyncio.create_task(house.alarms.run())
        probes = Probes(lambda: _metrics(house), lambda: _health(house))
        config = rules.configuration.console
        app = application(house.desk, house.pages(), probes, house.access, config.names)
        try:
            await serve(config, app, stop, lambda port: process.announce(rules.versions.config, port))
        finally:
            watching.cancel()
            alarms.cancel()
            await asyncio.gather(alarms, return_exceptions=True)


@contextmanager
def _opened(process: Process, config: ConsoleConfig) -> Iterator[House]:
    house = House(process, config)
    try:
        yield house
    finally:
        house.close()


async def _watch(house: House, stop: asyncio.Event) -> None:
    """Look at the house now and then, and hear when it is time to go."""
    process = house.process
    while not process.stop.is_set():
        process.write_meters()
        if house.watcher.due():
            with process.chore("watching"):
                await house.desk.read(house.watcher.look)
        await asyncio.sleep(_TICK)
    house.streams.end()
    stop.set()


def _metrics(house: House) -> bytes:
    """Return everything that is measured: processes say their own, events are counted from the books."""
    struck = house.window.balance()
    said = lanes(house.window.workspace)
    lags = []
    for waiting in struck.waiting:
        if waiting.account == LOGGED:
            lags.append(Lag(waiting.events, topic="received"))
        else:
            name = waiting.account.removeprefix("owed:")
            lags.append(Lag(waiting.events, destination=name, seconds=said.get(name, {}).get("oldest_seconds")))
    return render(read_all(house.window.workspace.run), struck.postings, lags, struck.unaccounted)


def _health(house: House) -> Health:
    """Say whether every process is there and the books balance."""
    parts: dict[str, str] = {
        str(kind): "running" if announcement(house.window.workspace, kind) else "not running" for kind in KINDS
    }
    try:
        unaccounted = house.window.balance().unaccounted
        parts["books"] = "balanced" if unaccounted == 0 else f"{unaccounted} unaccounted"
    except Unavailable:
        unaccounted = -1
        parts["books"] = "do not answer"
    parts["version"] = version("customhouse")
    well = unaccounted == 0 and all(parts[kind] == "running" for kind in KINDS)
    return Health(ok=well, parts=parts)
