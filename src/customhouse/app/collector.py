"""The collector process, put together: the log, the group commit, the door with every protocol, and the listening socket."""

import asyncio
import errno
import time
from contextlib import suppress
from importlib.metadata import version

import uvloop
from msgspec import structs

from customhouse.app.lanes import oldest_undelivered
from customhouse.app.process import Process
from customhouse.app.retention import SECONDS, retain
from customhouse.app.road import Rules, protocols
from customhouse.app.rules import newest
from customhouse.app.workspace import Workspace
from customhouse.collector.commit import Commit, Terms
from customhouse.collector.config import LimitsConfig, SourceConfig
from customhouse.collector.door import About, Door, Front
from customhouse.collector.front import files
from customhouse.collector.front.cookie import Cookie
from customhouse.collector.front.shelf import Shelf
from customhouse.collector.serve import serve
from customhouse.collector.sources import Register
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.errors import CustomhouseError, Misconfigured, Problem
from customhouse.model.frames import RECEIVED_TOPIC
from customhouse.pipeline.settle import place
from customhouse.settings import resolve
from customhouse.state.embedded import EmbeddedState
from customhouse.wire.spec_batch import looks_like_rudderstack

_ADDRESS_TROUBLE = {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM}


def run(process: Process) -> None:
    """Run the collector process until it is told to stop."""
    uvloop.run(_run(process))


async def _run(process: Process) -> None:
    workspace, rules = process.workspace, newest(process.workspace)
    said = rules.configuration
    log = EmbeddedLog(workspace.log, fault=process.fault)
    terms = Terms(partitions=said.partitions, folder=workspace.log)
    measure = process.meter.histogram("customhouse_commit_duration_seconds").observe
    commit = Commit(log, _bounded(terms, said.limits), fault=process.fault, observe=measure)
    door = Door(
        list(protocols().values()),
        commit,
        Register(_sources(workspace, rules), said.limits, rules.versions.config),
        recognisers={"rudderstack": looks_like_rudderstack},
        about=About(version("customhouse"), lambda: oldest_undelivered(workspace)),
    )
    door.show(_front(process, rules))
    stop = asyncio.Event()
    tending = asyncio.create_task(_tend(process, door, commit, log, stop))
    tending.add_done_callback(lambda _: stop.set())  # a door that nobody tends hears no signal: better a new one
    try:
        await serve(said.listen, door, commit, stop, lambda port: _ready(process, rules, port))
    except OSError as error:
        if error.errno not in _ADDRESS_TROUBLE:
            raise
        where = f"{said.listen.host}:{said.listen.port}"
        message = f"the door cannot listen on {where}: {error.strerror or error}"
        hint = "stop what has the port, or choose another: CUSTOMHOUSE_PORT=18080 customhouse run"
        raise Misconfigured([Problem("listen.port", message, hint)]) from None
    finally:
        tending.cancel()
        with suppress(asyncio.CancelledError):
            await tending
        log.close()


def _bounded(terms: Terms, limits: LimitsConfig) -> Terms:
    """Return the terms of commits with the bounds a configuration sets; all the rest holds until the next start."""
    return structs.replace(
        terms, max_uncommitted_bytes=limits.max_uncommitted_bytes, free_disk_bytes=limits.free_disk_bytes
    )


def _ready(process: Process, rules: Rules, port: int) -> None:
    process.port = port
    with process.chore("announcing"):
        process.announce(rules.versions.config, port)


def _front(process: Process, rules: Rules) -> Front:
    """Return what the door shows browsers. What is wrong with SDK files is logged, and is no reason to take no events."""
    listen = rules.configuration.listen
    found: list[tuple[files.Kept, bytes]] = []
    try:
        found, broken = files.load(process.workspace.sdk)
        for name in broken:
            process.logger.error("door.sdk_file_broken", file=name)
    except Misconfigured as error:
        process.logger.error("door.sdk_files_unreadable", problems=len(error.problems))
    return Front(listen.prefixes, Cookie(listen.cookie) if listen.cookie.enabled else None, Shelf(found))


def _sources(workspace: Workspace, rules: Rules) -> dict[str, SourceConfig]:
    """Return the sources with their keys in the place of references. Raises Misconfigured."""
    return {
        name: structs.replace(source, write_key=resolve(source.write_key, workspace.root, f"sources.{name}").reveal())
        for name, source in rules.configuration.sources.items()
    }


async def _tend(process: Process, door: Door, commit: Commit, log: EmbeddedLog, stop: asyncio.Event) -> None:
    """Do beside the door's work: pass on the signal to stop, adopt a new configuration, measure, remove old log."""
    due = time.monotonic() + SECONDS
    rules = newest(process.workspace)
    uncommitted = process.meter.gauge("customhouse_uncommitted_bytes")
    free = process.meter.gauge("customhouse_free_disk_bytes")
    while True:
        await asyncio.sleep(0.1)
        if process.stop.is_set():
            stop.set()
        if process.reload.is_set():
            process.reload.clear()
            try:
                rules = newest(process.workspace)
                sources = _sources(process.workspace, rules)
            except CustomhouseError as error:
                process.logger.error("door.reload_refused", reason=type(error).__name__)
                continue
            door.reload(sources, rules.configuration.limits, rules.versions.config)
            door.show(await asyncio.to_thread(_front, process, rules))
            commit.terms = _bounded(commit.terms, rules.configuration.limits)
            with process.chore("announcing"):
                process.announce(rules.versions.config, process.port)
        health = commit.health()
        uncommitted.set(health.uncommitted_bytes)
        free.set(health.free_bytes or 0)
        for (protocol, status), count in door.answered.items():
            counter = process.meter.counter("customhouse_requests_total", protocol=protocol, status=str(status))
            counter.add(count - counter.value)
        for source, waited in door.waited.items():
            process.meter.adopt("customhouse_acknowledgement_duration_seconds", waited, source=source)
        process.write_meters()
        if time.monotonic() >= due:
            due = time.monotonic() + SECONDS
            with process.chore("retention"):
                await asyncio.to_thread(_retain, process, log, rules)


def _retain(process: Process, log: EmbeddedLog, rules: Rules) -> None:
    """Remove what the pipeline has judged, once it is old."""
    kept = rules.configuration.retention
    state = EmbeddedState(process.workspace.state("pipeline"), readonly=True)
    try:
        retain(
            log,
            RECEIVED_TOPIC,
            lambda partition: place(state, RECEIVED_TOPIC, partition).position,
            process.logger,
            days=kept.received_days,
            size=kept.log_bytes,
        )
    finally:
        state.close()
