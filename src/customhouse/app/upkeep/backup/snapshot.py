"""
One consistent moment of a running house, part by part, in an order from which the ordinary recovery finds the way.

A state is derived from a log, so it is read before the log: what it has not seen, recovery settles. The record of an
import says which rows were acknowledged, so it is read first: what it has not counted is sent again and found out. The receipts say
what is in the lake, so the lake is cut to them. What is owed comes after the lake and the trail, what was received
comes last: each part only ever refers to what was read after it.

    imports → states (delivery, pipeline) → index of ids → receipts → lake → owed → received → configurations and the rest

Retention may have removed a segment that a state read here still needs. Then, and when a file of the lake is gone
before it was read, nothing of the moment counts, and another one is taken.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from customhouse.app.upkeep.backup import lakecut, logcut
from customhouse.app.upkeep.backup.intake import Intake, Moved
from customhouse.app.upkeep.formats import is_first, left_out
from customhouse.app.workspace import Workspace
from customhouse.delivery.settle import BOOKMARKS, marks
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.contracts import Fault, no_fault
from customhouse.model.frames import OWED_TOPIC, RECEIPTS_TOPIC, RECEIVED_TOPIC, decode_receipt
from customhouse.state.embedded import EmbeddedState
from customhouse.state.ids import CHECKPOINT

_READ_BYTES = 4 * 1024 * 1024
_TOPICS = (RECEIPTS_TOPIC, OWED_TOPIC, RECEIVED_TOPIC)


class _Listed(msgspec.Struct):
    file: str


class _Checkpoint(msgspec.Struct):
    """What a back-up must know of the index's checkpoint: the tables it names."""

    tables: list[_Listed]


def take(workspace: Workspace, intake: Intake, scratch: Path, fault: Fault = no_fault) -> None:
    """
    Take one moment of a workspace into `intake`, with copies of the states in `scratch`.

    Raises Moved when another moment must be taken, Unavailable and OSError when the disk does not play along.
    """
    data, log = workspace.data, workspace.log
    before = [cut for topic in _TOPICS for cut in logcut.cuts(log, topic)]
    for path in sorted(path for path in _files(data) if is_first(path)):
        intake.file(path)
    fault("backup.before_states")
    intake.database("state/delivery.db", scratch / "delivery.db")
    fault("backup.between_states")
    intake.database("state/pipeline.db", scratch / "pipeline.db")
    fault("backup.before_ids")
    _ids(data, intake)
    fault("backup.before_receipts")
    receipts = logcut.cuts(log, RECEIPTS_TOPIC)
    fault("backup.before_lake")
    reached = _reached(log, scratch / "delivery.db", receipts)
    last = {cut.partition: cut.last for cut in receipts}
    tables = []
    for folder in lakecut.tables(workspace.lake):
        tables.append(lakecut.cut(folder, lambda lane, at: reached.get((lane, at), -1), lambda at: last.get(at, -1)))
        fault("backup.between_tables")
    owed = logcut.cuts(log, OWED_TOPIC)
    fault("backup.before_received")
    received = logcut.cuts(log, RECEIVED_TOPIC)
    if not logcut.same_beginning(before, [*receipts, *owed, *received]):
        raise Moved("retention removed what the states of this moment need")
    fault("backup.before_bytes")
    for path in sorted(path for path in _files(data) if not left_out(path)):
        intake.file(path)
    for table in tables:
        lakecut.take(data, table, intake)
    for cut in (*receipts, *owed, *received):
        logcut.take(log, data, cut, intake)
    if intake.missing:
        raise Moved(f"{len(intake.missing)} files went away")


def _ids(data: Path, intake: Intake) -> None:
    """Take the index of ids: first what its checkpoint says, then the tables, which hold that and perhaps more."""
    for folder in sorted((data / "state" / "ids").glob("*")):
        place = folder.relative_to(data).as_posix()
        try:
            said = (folder / CHECKPOINT).read_bytes()
            listed = msgspec.json.decode(said, type=_Checkpoint).tables
        except (FileNotFoundError, msgspec.MsgspecError):
            continue  # the log brings back what the index has not noted yet
        for table in listed:
            intake.file(f"{place}/{table.file}")
        intake.made(f"{place}/{CHECKPOINT}", said)
    if intake.missing:
        raise Moved("the index of ids dropped a day")


def _reached(log: Path, state: Path, receipts: list[logcut.Cut]) -> dict[tuple[str, int], int]:
    """Return how far each lane will be when recovery has read the receipts of the snapshot."""
    if not state.exists():
        reached, after = {}, -1
    else:
        delivery = EmbeddedState(state, readonly=True)
        try:
            reached = {place: mark.upto for place, mark in marks(delivery).items()}
            found = delivery.get(BOOKMARKS, RECEIPTS_TOPIC.encode())
            after = int.from_bytes(found) if found else -1
        finally:
            delivery.close()
    reading = EmbeddedLog(log)
    try:
        for cut in receipts:
            while after < cut.last and (
                frames := reading.read(RECEIPTS_TOPIC, cut.partition, after=after, limit=_READ_BYTES)
            ):
                for frame in frames:
                    if frame.last <= cut.last:
                        said = decode_receipt(frame.body)
                        place = (said.lane, said.partition)
                        reached[place] = max(reached.get(place, -1), said.upto)
                after = frames[-1].last
    finally:
        reading.close()
    return reached


def _files(data: Path) -> Iterator[str]:
    """Yield all files below a data folder, those a later version put there too."""
    for path in data.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(data).as_posix()
