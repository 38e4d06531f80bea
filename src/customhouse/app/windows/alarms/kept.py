"""What a watch keeps in `run/alarms.json`: so that a restart repeats nothing, and other windows see what stands."""

import time
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct, field

from customhouse.alarms.board import Board
from customhouse.alarms.notice import Notice
from customhouse.app.process import write_whole
from customhouse.app.workspace import Workspace

FILE = "alarms.json"
_STALE = 4
"""Looks that may be missing before nobody is said to be watching."""


class PostState(Struct, frozen=True, kw_only=True):
    """How the webhook fares. Times in seconds since 1970; `told_at` is 0 until it took something."""

    configured: bool = False
    failures: int = 0
    """In a row."""
    told: str = ""
    """What the last post came to, in words."""
    told_at: float = 0.0
    dropped: int = 0
    """Notices that were given up because too many waited."""


class Kept(Struct, kw_only=True):
    """Everything a watch must know again after a restart."""

    format: Literal[1] = 1
    at: float = 0.0
    """When the house was last looked at, in seconds since 1970."""
    every_seconds: float = 5.0
    board: Board = field(default_factory=Board)
    waiting: Sequence[Notice] = ()
    """Notices the webhook has not taken yet, oldest first."""
    post: PostState = PostState()

    @property
    def watching(self) -> bool:
        """Tell whether somebody is looking at the house now."""
        return 0 <= time.time() - self.at <= max(self.every_seconds * _STALE, 10.0)


def kept(workspace: Workspace) -> Kept:
    """Return what was last kept. A file that is missing, or that this version cannot read, is an empty board."""
    try:
        return msgspec.json.decode((workspace.run / FILE).read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return Kept()


def keep(workspace: Workspace, state: Kept) -> None:
    """Keep it. Raises OSError."""
    write_whole(workspace.run / FILE, msgspec.json.encode(state))
