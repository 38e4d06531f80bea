"""
A table of the lake in a snapshot: the newest version that says no more than the receipts of the snapshot do.

A load whose receipt is in the snapshot must be in the table, or its events would be lost. Of loads without a receipt
recovery settles one, the newest, from its note; more of them would leave the books short. So the table is cut at a
version, and what it leaves out is loaded again from what is owed.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from customhouse.app.upkeep.backup.intake import Intake, Moved
from customhouse.model.frames import RECEIPTS_TOPIC, decode_receipt
from customhouse.tables.commits import Noted, Notes

LOG = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint.*\.parquet")

Settled = Callable[[str, int], int]
"""How far a lane is in a partition of `owed`, as the receipts of the snapshot say."""


class Cut(msgspec.Struct, frozen=True):
    """One table, as of one version."""

    folder: Path
    version: int
    checkpoint: int
    """The newest checkpoint that may be used; -1 when there is none."""
    logged: list[str]
    """Names of the files of its log."""
    files: list[str]
    """Its data files, relative to the table."""


def tables(lake: Path) -> Iterator[Path]:
    """Yield the folders of all tables."""
    for folder in sorted(lake.iterdir()) if lake.is_dir() else []:
        if (folder / LOG).is_dir() and not folder.name.startswith("."):
            yield folder


def cut(folder: Path, settled: Settled, receipts: Callable[[int], int]) -> Cut:
    """
    Return the newest version of a table that says no more than the snapshot's receipts; see `Settled`.

    `receipts` is the last position of each partition of the log `receipts` in the snapshot. Raises Moved when the
    versions of that moment are gone already.
    """
    names = [path.name for path in (folder / LOG).iterdir()]
    commits = sorted(int(found[1]) for name in names if (found := _COMMIT.fullmatch(name)))
    for version in reversed(commits):
        notes = _notes(folder / LOG / f"{version:020d}.json")
        if notes is not None and all(_allowed(app, noted, settled, receipts) for app, noted in notes.items()):
            return _at(folder, version, names)
    raise Moved(f"{folder.name} holds no version of that moment")


def take(data: Path, table: Cut, intake: Intake) -> None:
    """Take a table as it was at its version."""
    place = table.folder.relative_to(data).as_posix()
    for name in table.logged:
        intake.file(f"{place}/{LOG}/{name}", fixed=True)
    for path in table.files:
        intake.file(f"{place}/{path}", fixed=True)


def _at(folder: Path, version: int, names: list[str]) -> Cut:
    """Return the files of one version. The hint `_last_checkpoint` stays out: it may name a later one."""
    from deltalake import DeltaTable  # only who backs up a lake loads it
    from deltalake.exceptions import DeltaError

    checkpoints = {name: int(found[1]) for name in names if (found := _CHECKPOINT.fullmatch(name))}
    newest = max((at for at in checkpoints.values() if at <= version), default=-1)
    logged = [name for name, at in checkpoints.items() if at == newest]
    logged += [name for name in names if (found := _COMMIT.fullmatch(name)) and newest <= int(found[1]) <= version]
    try:
        actions = DeltaTable(folder, version=version).get_add_actions(flatten=True)
    except DeltaError:
        raise Moved(f"{folder.name} at version {version}") from None
    return Cut(folder, version, newest, sorted(logged), sorted(actions.column("path").to_pylist()))


def _notes(path: Path) -> Notes | None:
    """Return what a commit says of its writers; an empty answer for the one that made the table, None when it is gone."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return None
    for line in lines:
        told = msgspec.json.decode(line).get("commitInfo", {}).get("customhouse")
        if told is not None:
            return msgspec.convert(told["notes"], Notes)
    return {} if int(path.stem) == 0 else None


def _allowed(app: str, noted: Noted, settled: Settled, receipts: Callable[[int], int]) -> bool:
    """Tell whether a writer's last batch is covered by the receipts of the snapshot."""
    if noted.note:
        frame = decode_receipt(noted.note)
        return settled(frame.lane, frame.partition) >= frame.upto
    topic, _, partition = app.rpartition("-")
    return topic != RECEIPTS_TOPIC or noted.version <= receipts(int(partition))
