"""
The house as a window sees it: logs and states opened for reading, the balance, and what the processes say of themselves.

A `Window` belongs to one thread at a time, because its connections do. Long searches open one of their own.
"""

import time

from msgspec import Struct

from customhouse.app.books import balance_of
from customhouse.app.lanes import lanes
from customhouse.app.process import KINDS, Announcement, announcement
from customhouse.app.workspace import Workspace
from customhouse.ledger.balance import Balance
from customhouse.log.embedded import EmbeddedLog
from customhouse.state.embedded import EmbeddedState
from customhouse.telemetry.measure import Snapshot, read_all

_KEEP_SECONDS = 1.0


class Seen(Struct, frozen=True, kw_only=True):
    """One reading of the whole house. `at` is in seconds since 1970."""

    at: float
    balance: Balance
    lanes: dict[str, dict[str, object]]
    processes: dict[str, Announcement | None]
    measured: list[Snapshot]


class Window:
    """Everything a window may look at. Reads only; the processes may run or not."""

    def __init__(self, workspace: Workspace) -> None:
        """Open logs and states. Raises Unavailable, Broken."""
        self.workspace = workspace
        self.log = EmbeddedLog(workspace.log)
        self.pipeline = EmbeddedState(workspace.state("pipeline"), readonly=True)
        self.delivery = EmbeddedState(workspace.state("delivery"), readonly=True)
        self._struck: Balance | None = None
        self._at = 0.0

    def balance(self) -> Balance:
        """Return the trial balance, at most a second old: struck once, however many ask."""
        if self._struck is None or time.monotonic() - self._at > _KEEP_SECONDS:
            self._struck, self._at = balance_of(self.log, self.pipeline, self.delivery), time.monotonic()
        return self._struck

    def seen(self) -> Seen:
        """Read everything there is to say about the house at this moment: the balance anew, never one told before."""
        self._struck = None
        return Seen(
            at=time.time(),
            balance=self.balance(),
            lanes=lanes(self.workspace),
            processes={str(kind): announcement(self.workspace, kind) for kind in KINDS},
            measured=read_all(self.workspace.run),
        )

    def close(self) -> None:
        """Let go of the files."""
        self.delivery.close()
        self.pipeline.close()
        self.log.close()
