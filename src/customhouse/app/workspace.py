"""
Where things stand: the folder a user keeps in git, and the data folder the processes keep.

    customhouse.yaml  plan/            the user's, read by `check`, `run` and `reload` only
    .data/
      format                          the version of this layout; a newer one is refused in words
      identity.json  keys/            who the workspace is, and its key for references to persons
      config/00001.json …             every configuration that was accepted, frozen, numbered
      log/  state/  lake/  jobs/      the books and everything they are made of; one writer per file
      run/                            what the running processes say of themselves
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from customhouse.app.upkeep import identity as identities
from customhouse.app.upkeep.identity import Identity
from customhouse.app.upkeep.migrations import bring_up
from customhouse.telemetry.logs import Logger

CONFIG_FILE = "customhouse.yaml"


class Workspace(Struct, frozen=True):
    """The two folders, and the names of everything in them."""

    root: Path
    data: Path

    @property
    def config_file(self) -> Path:
        """The user's configuration."""
        return self.root / CONFIG_FILE

    @property
    def plan(self) -> Path:
        """The user's tracking plan."""
        return self.root / "plan"

    @property
    def sdk(self) -> Path:
        """The SDK files the door serves to pages."""
        return self.root / "sdk"

    @property
    def log(self) -> Path:
        """The log's segments."""
        return self.data / "log"

    @property
    def lake(self) -> Path:
        """The Delta tables, the trail among them."""
        return self.data / "lake"

    @property
    def run(self) -> Path:
        """What the running processes say of themselves."""
        return self.data / "run"

    def state(self, owner: str) -> Path:
        """Return the state file of one owner process."""
        return self.data / "state" / f"{owner}.db"

    def ids(self, partition: int) -> Path:
        """Return the folder of a partition's dedupe index."""
        return self.data / "state" / "ids" / str(partition)

    def jobs(self, owner: str) -> Path:
        """Return the folder in which an owner process finds its jobs."""
        return self.data / "jobs" / owner

    def identity(self) -> Identity:
        """Return who this workspace is. Raises Misconfigured when nothing readable says so."""
        return identities.identity(self.data)

    def reference_key(self) -> bytes:
        """Return the 32 secret bytes that references to persons are keyed with. Raises Misconfigured without them."""
        return identities.reference_key(self.data)

    def prepare(self, logger: Logger | None = None) -> None:
        """
        Make the data folder, private to its owner, or bring an older one to today's format, step by step, logged.

        Only who is about to run the house calls this. Raises Misconfigured for a folder of a newer format, Unavailable
        when an older one is to be brought up and a process still has it.
        """
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        bring_up(self.data, logger)
        for folder in (self.log, self.lake, self.run, self.data / "state", self.data / "config"):
            folder.mkdir(exist_ok=True)


class Accepted(Struct, frozen=True, kw_only=True):
    """A configuration that was accepted: frozen, so that every process and every later reader sees the same."""

    format: int = 1
    number: int
    plan_release: int
    accepted_at: int
    content: str
    """Hash of configuration and plan, to tell whether a new one is new."""
    plan_content: str
    configuration: dict[str, Any]
    """The configuration as plain data, as written, secrets still as references."""
    plan: dict[str, Any]
    """The plan's snapshot."""
    files: dict[str, str] = {}
    """The text of the files it was made from, by path under the workspace; empty in versions from before these were kept."""
    rolled_back_to: int = 0
    """The version it brought back, when a rollback made it; else 0."""


def accepted(workspace: Workspace, number: int | None = None) -> Accepted | None:
    """Return the newest accepted configuration, or the one with a number; None when there is none."""
    folder = workspace.data / "config"
    if number is None:
        numbers = [int(path.stem) for path in folder.glob("*.json")] if folder.exists() else []
        if not numbers:
            return None
        number = max(numbers)
    path = folder / f"{number:05d}.json"
    return msgspec.json.decode(path.read_bytes(), type=Accepted) if path.exists() else None


def accept(workspace: Workspace, version: Accepted) -> None:
    """Keep an accepted configuration for ever: written in one piece, and on disk before anybody uses its number."""
    path = workspace.data / "config" / f"{version.number:05d}.json"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(version)))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def locate(root: Path, data: str, environment: Mapping[str, str]) -> Workspace:
    """Return the workspace under a root; its data folder may be named by `CUSTOMHOUSE_DATA`, else by the configuration."""
    chosen = Path(environment.get("CUSTOMHOUSE_DATA") or data)
    root = root.resolve()
    return Workspace(root, chosen if chosen.is_absolute() else (root / chosen))
