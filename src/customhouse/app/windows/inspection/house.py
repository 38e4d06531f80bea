"""The house as it runs: processes, versions, destinations, alarms, quarantine, and the formats of what is on disk."""

import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version

import msgspec

from customhouse.alarms.words import events, span, waiting
from customhouse.app.configuration import Configuration
from customhouse.app.lanes import lanes
from customhouse.app.process import KINDS, Announcement, announcement
from customhouse.app.upkeep import formats
from customhouse.app.windows.alarms import Kept, kept
from customhouse.app.windows.inspection.finding import Finding, ok, problem, warning
from customhouse.app.workspace import Accepted, Workspace, accepted
from customhouse.ledger.books import balances, flows
from customhouse.model.errors import CustomhouseError
from customhouse.model.posting import LOGGED, RECEIVED
from customhouse.state.embedded import EmbeddedState

_HOUR = 3600
_ASK_SECONDS = 2.0
_ANSWER_BYTES = 4096
_VERSIONLESS = "console"
"""The process that goes on under the configuration it began with: it shows, and judges nothing."""


def house(place: Workspace, configuration: Configuration | None) -> Iterator[Finding]:
    """Yield what there is to say of a house that has run."""
    newest = accepted(place)
    if newest is None:
        yield ok("processes", "nothing has run here yet")
        return
    yield from _formats(place)
    said = {str(kind): announcement(place, kind) for kind in KINDS}
    if not any(said.values()):
        yield ok("processes", "not running")
    else:
        yield from _processes(place, newest)
        yield from _release(said["collector"], configuration)
        board = kept(place)
        yield from _alarms(board)
        yield from _lanes(place, board)
    if configuration is not None:
        yield from _quarantine(place, configuration)


def _formats(place: Workspace) -> Iterator[Finding]:
    found = formats.problems(place)
    for each in found:
        yield problem("formats", f"{each.place}: {each.message}", each.hint)
    if not found:
        yield ok("formats", "every file on disk is of a format this version knows")


def _processes(place: Workspace, newest: Accepted) -> Iterator[Finding]:
    for kind in KINDS:
        running = announcement(place, kind)
        if running is None:
            yield problem(kind, "does not run", "see why in the output of `customhouse run`")
        elif running.config != newest.number and kind != _VERSIONLESS:
            told = f"runs under configuration {running.config}, the newest is {newest.number}"
            yield warning(kind, told, "customhouse reload")
        else:
            yield ok(kind, f"runs as process {running.pid}, configuration {running.config}")


def _release(door: Announcement | None, configuration: Configuration | None) -> Iterator[Finding]:
    """Tell whether the door runs another release than the one installed; it is asked, as anybody may."""
    host = configuration.listen.host if configuration else "127.0.0.1"
    if door is None:
        return
    connection = HTTPConnection({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), door.port, timeout=_ASK_SECONDS)  # noqa: S104 - an address to ask, not to listen on
    try:
        connection.request("GET", "/version")
        said = msgspec.json.decode(connection.getresponse().read(_ANSWER_BYTES), type=dict[str, str])
    except (OSError, HTTPException, msgspec.MsgspecError):
        yield warning("release", "the door does not say which release it is", f"curl http://{host}:{door.port}/version")
        return
    finally:
        connection.close()
    runs, there = said.get("version", ""), version("customhouse")
    if runs != there:
        yield warning("release", f"the door runs release {runs}, and {there} is installed", "restart customhouse run")
    else:
        yield ok("release", f"the door runs release {runs}, as installed")


def _alarms(board: Kept) -> Iterator[Finding]:
    standing = board.board.standing()
    for alarm in standing:
        since = span(max(0.0, time.time() - alarm.since))
        make = problem if alarm.severity == "critical" else warning
        yield make("alarm", f"{alarm.name} {alarm.subject}, for {since}: {alarm.told}", alarm.mend)
    if not board.watching:
        yield warning("alarms", "nobody is watching the house", "see why the console does not: customhouse run")
    elif not standing:
        yield ok("alarms", "none stands")


def _lanes(place: Workspace, board: Kept) -> Iterator[Finding]:
    """Say which destinations get nothing, unless an alarm has said so."""
    alarmed = {alarm.subject for alarm in board.board.standing()}
    for name, said in lanes(place).items():
        state, lag = str(said.get("state")), said.get("lag_events", 0)
        waits = waiting(lag if isinstance(lag, int) else 0)
        if state == "parked" and name not in alarmed:
            told = f"{name} refuses our credentials; {waits} for it"
            yield problem("destination", told, "put the right credentials in place, then: customhouse reload")
        elif state == "paused":
            told = f"{name} is paused by the {said.get('paused_by') or 'command line'}; {waits} for it"
            yield warning("destination", told, f"customhouse destinations resume {name}")
        elif state in ("circuit open", "backing off") and name not in alarmed:
            told = f"{name} is {state} ({said.get('last_answer') or said.get('problem')}); {waits} for it"
            yield warning("destination", told, f"customhouse destinations list {name}")


def _quarantine(place: Workspace, configuration: Configuration) -> Iterator[Finding]:
    """Say what is held back, and whether it grows: by the events received within this hour and the one before."""
    state = EmbeddedState(place.state("pipeline"), readonly=True)
    try:
        postings = flows(state)
    except CustomhouseError as error:
        yield problem("quarantine", f"its books cannot be read: {error}", "customhouse doctor --json, and report it")
        return
    finally:
        state.close()
    since = int(time.time()) // _HOUR - 1
    lately = [p for p in postings if p.hour >= since]
    came = sum(p.count for p in lately if p.moved_to.startswith("quarantined:"))
    judged = sum(p.count for p in lately if (p.moved_from, p.moved_to) == (RECEIVED, LOGGED))
    held = sum(count for name, count in balances(postings).items() if name.startswith("quarantined:"))
    told = f"{events(held)} held back; {came:,} of {events(judged)} of the last two hours came there"
    config = configuration.alarms
    if came >= config.quarantine_events and came >= config.quarantine_share * max(judged, 1):
        yield warning("quarantine", told, "customhouse quarantine list")
    else:
        yield ok("quarantine", told)
