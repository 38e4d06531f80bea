"""What the delivery process says of its lanes, left in one small file for the door, the console and the CLI."""

import time
from typing import Any

import msgspec

from customhouse.app.process import write_whole
from customhouse.app.workspace import Workspace

_FILE = "lanes.json"
_FRESH_SECONDS = 1.0
_cached: dict[str, tuple[float, dict[str, Any]]] = {}


def publish(workspace: Workspace, lanes: dict[str, dict[str, Any]], floors: dict[str, int]) -> None:
    """Leave the health of every lane where others find it, and up to where nobody needs the log any more."""
    write_whole(
        workspace.run / _FILE, msgspec.json.encode({"format": 1, "at": time.time(), "lanes": lanes, "floors": floors})
    )


def lanes(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Return the health of every lane as last published."""
    return dict(_said(workspace).get("lanes", {}))


def published_at(workspace: Workspace) -> float:
    """Return when delivery last said how its lanes fare, in seconds since 1970; 0 while it never has."""
    return float(_said(workspace).get("at", 0.0))


def floor(workspace: Workspace, topic: str, partition: int) -> int:
    """
    Return the position of a log's partition up to which no lane needs anything; -1 while nobody said.

    An old word is a safe word: lanes only move forward.
    """
    return int(_said(workspace).get("floors", {}).get(f"{topic}/{partition}", -1))


def _said(workspace: Workspace) -> dict[str, Any]:
    """Return what was last published, at most a second old in this process."""
    key = str(workspace.run)
    read_at, known = _cached.get(key, (-_FRESH_SECONDS, {}))
    if time.monotonic() - read_at < _FRESH_SECONDS:
        return known
    try:
        said = msgspec.json.decode((workspace.run / _FILE).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        said = {}
    _cached[key] = (time.monotonic(), said)
    return said


def oldest_undelivered(workspace: Workspace) -> float | None:
    """Return for how many seconds the oldest undelivered event has waited; None when nothing waits."""
    ages = [lane.get("oldest_seconds") for lane in lanes(workspace).values()]
    return max((age for age in ages if isinstance(age, (int, float)) and age > 0), default=None)
