"""
A table's commit log, written with constant cost: one small file per commit, whatever came before.

Delta's log is plain JSON, and an append needs three of its actions (`commitInfo`, `txn`, `add`). Writing them here
means that no list of all files is read, copied or reconciled per commit; the Delta library makes the table, the
checkpoints, and everything readers do. A commit is fsynced and appears whole or not at all.

Each of our commits carries the newest note of every writer in its `commitInfo`, so that one file, the newest, always
answers how far everybody came; cleaning never removes that file.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Any

import msgspec

from customhouse.model.errors import Broken
from customhouse.tables.datafile import DataFile, sync


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """The last batch of one writer."""

    version: int
    """The writer's own number of the batch."""
    note: bytes
    """What it wrote beside the batch."""
    commit: int
    """The table's version that holds it."""


Notes = dict[str, Noted]
"""By writer (application id): its last batch."""
FIRST = 0
_NAME_LENGTH = len(f"{FIRST:020d}.json")


class Commits:
    """The `_delta_log` folder of one table, as its one writer uses it."""

    def __init__(self, folder: Path) -> None:
        """Look after the log of the table in `folder`."""
        self._log = folder / "_delta_log"
        self._draft = folder / "_commit.tmp"

    def write(self, version: int, kind: str, actions: Sequence[dict[str, Any]], notes: Notes) -> bool:
        """Commit as `version`, durably. False when that version exists: somebody else commits here. Raises OSError."""
        info = {
            "timestamp": now_ms(),
            "operation": kind,
            "operationParameters": {},
            "engineInfo": "customhouse",
            "customhouse": {"notes": notes},
        }
        lines = msgspec.json.Encoder().encode_lines([{"commitInfo": info}, *actions])
        self._draft.unlink(missing_ok=True)  # it may still be the same file as a commit: never write into it
        self._draft.write_bytes(lines)
        sync(self._draft)
        try:
            os.link(self._draft, self._path(version))
        except FileExistsError:
            return False
        finally:
            self._draft.unlink(missing_ok=True)
        sync(self._log)
        return True

    def notes(self) -> tuple[int, Notes]:
        """Return the version of the newest commit that carries notes, and the notes. Raises Broken when it is gone."""
        files = self._files()
        for path in reversed(files):
            for line in path.read_bytes().splitlines():
                told = msgspec.json.decode(line).get("commitInfo", {}).get("customhouse")
                if told is not None:
                    return int(path.stem), msgspec.convert(told["notes"], Notes)
        if files and int(files[0].stem) == FIRST:
            return FIRST, {}
        raise Broken(f"{self._log}: no commit says how far the writers came; the log was cleaned by another program")

    def checkpoint(self) -> int:
        """Return the version of the newest checkpoint, or the first version while there is none."""
        versions = [int(path.name.partition(".")[0]) for path in self._log.glob("*.checkpoint*.parquet")]
        return max(versions, default=FIRST)

    def clean(self, checkpoint: int, keep: int, before: float) -> int:
        """
        Remove commits and checkpoints older than both the checkpoint and the time `before`; say how many.

        `keep` is the newest commit that carries notes.
        """
        removed = 0
        for path in sorted(self._log.iterdir()):
            version = path.name.partition(".")[0]
            if version.isdigit() and int(version) < min(checkpoint, keep) and path.stat().st_mtime < before:
                path.unlink()
                removed += 1
        return removed

    def _files(self) -> list[Path]:
        return sorted(p for p in self._log.glob("*.json") if len(p.name) == _NAME_LENGTH and p.stem.isdigit())

    def _path(self, version: int) -> Path:
        return self._log / f"{version:020d}.json"


def added(file: DataFile, column: str, *, changes: bool) -> dict[str, Any]:
    """Return the action that adds a file; `changes` is false when its rows were in the table before."""
    return {
        "add": {
            "path": file.path,
            "partitionValues": {column: file.partition},
            "size": file.size,
            "modificationTime": now_ms(),
            "dataChange": changes,
            "stats": file.statistics,
        }
    }


def removed(file: DataFile, column: str) -> dict[str, Any]:
    """Return the action that removes a file whose rows went into another."""
    return {
        "remove": {
            "path": file.path,
            "deletionTimestamp": now_ms(),
            "dataChange": False,
            "extendedFileMetadata": True,
            "partitionValues": {column: file.partition},
            "size": file.size,
        }
    }


def transaction(app_id: str, version: int) -> dict[str, Any]:
    """Return the action that records a writer's version, where any Delta reader finds it."""
    return {"txn": {"appId": app_id, "version": version, "lastUpdated": now_ms()}}


def now_ms() -> int:
    """Return the time in milliseconds, the unit of Delta's log."""
    return int(time() * 1000)
