"""
How every destination fares, for the command line and the console: one reading, in numbers and in words.

Everything here was published by delivery, stands in the books, or in the configuration. A destination's own words are
never shown: they may quote the events.
"""

import time
from typing import Any
from urllib.parse import urlsplit

from customhouse.alarms.words import events, span, waiting
from customhouse.app.configuration import Configuration
from customhouse.app.lanes import lanes
from customhouse.app.windows.window import Seen
from customhouse.app.workspace import Workspace
from customhouse.destinations.webhook import WebhookConfig
from customhouse.model.frames import OWED_TOPIC
from customhouse.model.lane import LaneConfig
from customhouse.model.reasons import REASONS
from customhouse.model.standing import AnswerLine, DestinationState
from customhouse.state.jobs import Answer, Jobs

NOT_RUNNING = "not running"
REMOVED = "removed"
STARTING = "starting"
_JOB_SECONDS = 15.0
_PUBLISHED_SECONDS = 5.0
"""Delivery tells once a second how its lanes fare; then it is late, and what was done is done all the same."""
_TOO_LONG = 10 * 365 * 86_400


def destinations(workspace: Workspace, configuration: Configuration, seen: Seen) -> list[DestinationState]:
    """Return every destination that is configured or still owed something, by name. Raises OSError."""
    owed = {each.account.removeprefix("owed:") for each in seen.balance.waiting if each.account.startswith("owed:")}
    names = sorted({*configuration.destinations, *owed})
    return [_state(workspace, configuration, seen, name) for name in names]


def pause(workspace: Workspace, name: str, asked_by: str) -> Answer:
    """Have delivery send nothing to a destination until it is resumed. Raises Unavailable."""
    answer = Jobs(workspace.jobs("delivery")).ask("pause", {"lane": name}, timeout=_JOB_SECONDS, asked_by=asked_by)
    return _seen_to(workspace, name, answer, paused=True)


def resume(workspace: Workspace, name: str, asked_by: str) -> Answer:
    """Have delivery go on, at once. Raises Unavailable."""
    answer = Jobs(workspace.jobs("delivery")).ask("resume", {"lane": name}, timeout=_JOB_SECONDS, asked_by=asked_by)
    return _seen_to(workspace, name, answer, paused=False)


def replay(workspace: Workspace, name: str, asked_by: str) -> Answer:
    """Have delivery owe a destination its rejected events once more, as many as it has room for. Raises Unavailable."""
    return Jobs(workspace.jobs("delivery")).ask("replay", {"lane": name}, timeout=60.0, asked_by=asked_by)


def _seen_to(workspace: Workspace, name: str, answer: Answer, *, paused: bool) -> Answer:
    """Wait a moment until what was done is published, so that whoever looks next sees it."""
    until = time.monotonic() + _PUBLISHED_SECONDS
    while answer.ok and time.monotonic() < until:
        if bool(lanes(workspace).get(name, {}).get("paused_at")) == paused:
            break
        time.sleep(0.1)
    return answer


def effect_of_pause(state: DestinationState) -> str:
    """Return in numbers what a pause does."""
    told = f"Nothing more is sent to {state.name} until somebody resumes it, also after a restart. Events go on being "
    told += "received and wait in the log; none is lost"
    if state.rate:
        told += f". At the rate of the last minute that is {events(round(state.rate * 3600))} an hour"
    if left := _until_budget(state):
        told += f", and its backlog budget is used up in {span(left)}"
    return f"{told}. {waiting(state.lag_events)} now."


def effect_of_resume(state: DestinationState) -> str:
    """Return in numbers what resuming does."""
    waited = f", the oldest for {span(state.oldest_seconds)}" if state.oldest_seconds else ""
    return f"{waiting(state.lag_events)} for {state.name}{waited}; sending begins at once, in order, in full batches."


def effect_of_replay(state: DestinationState) -> str:
    """Return in numbers what replaying the rejected events does."""
    told = f"{events(state.rejected)} that {state.name} refused are sent there once more, and nowhere else. "
    return told + "Those it refuses again come back to quarantine."


def _state(workspace: Workspace, configuration: Configuration, seen: Seen, name: str) -> DestinationState:
    config = configuration.destinations.get(name)
    lane: dict[str, Any] = dict(seen.lanes.get(name, {}))
    waiting = {each.account: each.events for each in seen.balance.waiting}
    accounts = seen.balance.accounts
    budget = config if isinstance(config, LaneConfig) else None
    lag, oldest = waiting.get(f"owed:{name}", 0), float(lane.get("oldest_seconds") or 0.0)
    seconds = budget.backlog_hours * 3600 if budget and budget.backlog_hours else None
    number = budget.backlog_events if budget else None
    used = [lag / number] if number else []
    used += [oldest / seconds] if seconds else []
    word = _word(seen, name, lane, configured=config is not None)
    return DestinationState(
        name=name, kind=_kind(config), where=_where(config), state=word,
        state_since=lane.get("state_since") if word == lane.get("state") else None,
        words=_words(word, lane, lag, oldest),
        lag_events=lag, oldest_seconds=oldest if lag else None, retrying=int(lane.get("retrying", 0)),
        rate=lane.get("rate"), success=lane.get("success"),
        delivered=accounts.get(f"delivered:{name}", 0), rejected=accounts.get(f"rejected:{name}", 0),
        expired=accounts.get(f"expired:{name}", 0),
        breaker=str(lane.get("breaker", "")), failures=int(lane.get("failures", 0)),
        last_answer=str(lane.get("last_answer", "")), answers=[_answer(each) for each in lane.get("answers", [])],
        paused_at=lane.get("paused_at") or None, paused_by=str(lane.get("paused_by", "")),
        pausable="paused_at" in lane and word not in (NOT_RUNNING, REMOVED),
        backlog_events=number, backlog_seconds=seconds, budget_used=max(used, default=None),
        held_bytes=_held(workspace, lane.get("upto", {})) if lag else 0,
    )  # fmt: skip


def _word(seen: Seen, name: str, lane: dict[str, Any], *, configured: bool) -> str:
    if not configured:
        return REMOVED
    if seen.processes.get("delivery") is None:
        return NOT_RUNNING
    return str(lane["state"]) if name in seen.lanes and "state" in lane else STARTING


def _words(word: str, lane: dict[str, Any], lag: int, oldest: float) -> str:
    """Return the state in one sentence, with numbers."""
    waits = f"{waiting(lag)}, the oldest for {span(oldest)}" if lag else "nothing waits"
    last = f" ({lane['last_answer']})" if lane.get("last_answer") else ""
    failed = f"{lane.get('failures', 0):,} attempts failed in a row{last}"
    told = {
        "running": f"It takes what it is sent; {waits}.",
        "paused": f"Paused by the {lane.get('paused_by') or 'command line'}: nothing is sent; {waits}.",
        "parked": f"It refuses our credentials{last}: nothing is sent until they are mended; {waits}.",
        "circuit open": f"{failed}, so it is left alone for a while; {waits}.",
        "backing off": f"{failed}; it is tried again soon; {waits}.",
        "full": f"So many events are in retry that no new ones are sent; {waits}.",
        NOT_RUNNING: f"Delivery does not run; {waits}.",
        STARTING: "Its lane has not begun yet.",
        REMOVED: f"It is no longer configured, and {events(lag)} are still owed to it.",
    }
    return told.get(word, f"It is {word}; {waits}.")


def _answer(said: dict[str, Any]) -> AnswerLine:
    reason = str(said.get("reason", ""))
    meaning = "It took the events." if reason == "delivered" else REASONS[reason].meaning if reason in REASONS else ""
    return AnswerLine(
        status=int(said.get("status", 0)), reason=reason, meaning=meaning, count=int(said.get("count", 0)),
        first_at=int(said.get("first_at", 0)), last_at=int(said.get("last_at", 0)),
    )  # fmt: skip


def _kind(config: object) -> str:
    return "" if config is None else "webhook" if isinstance(config, WebhookConfig) else "lake"


def _where(config: object) -> str:
    if not isinstance(config, WebhookConfig):
        return ""
    parts = urlsplit(config.url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _until_budget(state: DestinationState) -> float | None:
    """Return the seconds until the budget is used up if nothing is sent from now on; None when that is far or never."""
    left = []
    if state.backlog_seconds:
        left.append(state.backlog_seconds - (state.oldest_seconds or 0.0))
    if state.backlog_events and state.rate:
        left.append((state.backlog_events - state.lag_events) / state.rate)
    soonest = min(left, default=None)
    return soonest if soonest is not None and 0 < soonest < _TOO_LONG else None


def _held(workspace: Workspace, upto: dict[str, Any]) -> int:
    """Return the bytes of the segments of the log that hold something behind the positions reached."""
    total = 0
    for partition, position in upto.items():
        folder = workspace.log / OWED_TOPIC / str(partition)
        segments = sorted(folder.glob("*.seg"))
        for nth, path in enumerate(segments):
            following = int(segments[nth + 1].stem) if nth + 1 < len(segments) else None
            if following is None or following > int(position) + 1:
                try:
                    total += path.stat().st_size
                except FileNotFoundError:  # retention was faster
                    continue
    return total
