"""
What the door answers about itself: whether it lives, whether it can take events, which version it is.

`/health` says that the process answers; `/ready` says that events can be taken now, with the figures behind it.
"""

from collections.abc import Callable

import msgspec

from customhouse.collector.commit import Commit
from customhouse.model.http import Reply

Age = Callable[[], float | None]
"""Seconds for which the oldest undelivered event has waited; None when there is none, or nobody knows."""

_FRESH = (("Cache-Control", "no-store"),)


class Probes:
    """The paths that no protocol serves and everybody may ask."""

    def __init__(self, commit: Commit, version: str, oldest_undelivered: Age) -> None:
        """Answer for this commit and version."""
        self._commit = commit
        self._oldest = oldest_undelivered
        self._version = _json(200, {"name": "customhouse", "version": version})
        self._paths: dict[str, Callable[[], Reply]] = {
            "/health": lambda: _HEALTHY,
            "/ready": self._ready,
            "/version": lambda: self._version,
            "/robots.txt": lambda: _ROBOTS,
        }

    def find(self, path: str) -> Callable[[], Reply] | None:
        """Return what answers a path, with or without a trailing slash; None for paths that are none of these."""
        return self._paths.get(path) or self._paths.get(path.removesuffix("/"))

    def _ready(self) -> Reply:
        health = self._commit.health()
        body = {
            "ready": health.ready,
            "disk": {
                "free_bytes": health.free_bytes,
                "floor_bytes": health.free_bytes_floor,
                "low": health.disk_low,
            },
            "log": {"failing": health.failing, "seconds_since_failure": health.seconds_since_failure},
            "uncommitted_bytes": health.uncommitted_bytes,
            "draining": health.draining,
            "oldest_undelivered_seconds": self._oldest(),
        }
        return _json(200 if health.ready else 503, body)


def _json(status: int, body: object) -> Reply:
    return Reply(status, msgspec.json.encode(body), headers=_FRESH)


_HEALTHY = _json(200, {"status": "ok"})
_ROBOTS = Reply(200, b"User-agent: *\nDisallow: /\n", "text/plain; charset=utf-8")
