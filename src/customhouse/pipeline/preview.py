"""
What a replay would do, without doing it: the real judgement of the same batch, whose frame is read and thrown away.

Only the owner of the memories can say that, so the pipeline answers it as a job. Nothing is settled: the books, the
state and the index of ids stay as they are, because only a committed frame changes them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from customhouse.model.errors import CustomhouseError
from customhouse.model.frames import OwedFrame
from customhouse.pipeline.batch import Batch, apart
from customhouse.pipeline.judgement import Road, condemn, judge

_WORDS_OF = 200
"""Events held again whose details are told; of the others the reason alone."""


def foresee(batch: Batch, road: Road, now: int, totals: Mapping[str, int]) -> list[OwedFrame]:
    """
    Return the frames a batch would settle to, one unless our own code stumbles over an event of it.

    Raises Unavailable.
    """
    try:
        return [judge(batch, road, now, totals, _unseen)]
    except CustomhouseError:
        raise
    except Exception:  # noqa: BLE001  # as in the worker: a bug of ours harms one event and no other
        return list(_one_by_one(batch, road, now, totals))


def told(frames: Iterable[OwedFrame]) -> dict[str, Any]:
    """
    Return what frames say of their events, as plain data for an answer.

    `verdicts` has a line per event: id, the account it would end in, the detail. `copies` counts by destination.
    """
    verdicts: list[list[str]] = []
    copies: Counter[str] = Counter()
    worded = 0
    for frame in frames:
        for row in frame.trail:
            copies.update(row.routes)
            held = row.fate.startswith("quarantined:")
            worded += held
            detail = row.detail if not held or worded <= _WORDS_OF else ""
            verdicts.append([row.id.hex(), row.fate, detail])
    return {"verdicts": verdicts, "copies": dict(copies)}


def _one_by_one(batch: Batch, road: Road, now: int, totals: Mapping[str, int]) -> Iterator[OwedFrame]:
    for alone in apart(batch):
        try:
            yield judge(alone, road, now, totals, _unseen)
        except CustomhouseError:
            raise
        except Exception as error:  # noqa: BLE001  # as above
            yield condemn(alone, road, now, totals, type(error).__name__)


def _unseen(_stage: str, _seconds: float, _events: int) -> None:
    """Measure nothing: a preview is no part of the traffic."""
