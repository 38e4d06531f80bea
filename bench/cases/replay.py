"""
Replay: how fast the log is read back and judged again, without a lake; and how fast quarantine empties.

In this process, on one core: `read` is log and frames alone, `judge` the whole walk up to the encoded owed frame,
`quarantine` the same for events that lie in quarantine because no plan knew them, and are known now.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import structs

from bench.house import workspace
from bench.received import append, frames
from bench.units import Scale
from customhouse.app.road import Rules, road
from customhouse.app.rules import newest, take_in
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.frames import OwedFrame, encode
from customhouse.pipeline.batch import Batch, Intake, Place
from customhouse.pipeline.judgement import judge
from customhouse.pipeline.quarantine import replay_batch
from customhouse.plan.plan import Plan
from customhouse.stages.validation import PlanConfig
from customhouse.state.ids import MappedIndex

_BATCH = 1000


def rounds(scale: Scale) -> Iterator[dict[str, float]]:
    """Measure reading, judging, and replaying from quarantine."""
    events = scale.of(40_000, 20_000)
    with TemporaryDirectory(dir=scale.scratch) as folder:
        place = workspace(Path(folder))
        place.prepare()
        take_in(place, {})
        rules = newest(place)
        strict = structs.replace(rules.configuration, plan=PlanConfig(unknown_events="quarantine"))
        nobody_knows = structs.replace(rules, configuration=strict, plan=Plan())
        with closing(EmbeddedLog(place.log)) as log:
            append(log, frames(events))
            for nth in range(scale.of(7, 3)):
                gc.collect()
                gc.freeze()
                began = time.process_time()
                batches = list(_batches(log))
                read = time.process_time() - began
                judged, _ = _judge(batches, rules, Path(folder) / f"{nth}-a")
                _, refused = _judge(batches[:10], nobody_knows, Path(folder) / f"{nth}-b")
                held = [frame.quarantined for frame in refused]
                again, _ = _judge([replay_batch(each, 0) for each in held], rules, Path(folder) / f"{nth}-c")
                yield {
                    "replay.read": read / events * 1e6,
                    "replay.judge": (read + judged) / events * 1e6,
                    "replay.rate": events / (read + judged),
                    "replay.quarantine": again / sum(map(len, held)) * 1e6,
                }


def _batches(log: EmbeddedLog) -> Iterator[Batch]:
    intake = Intake(log, 0, Place(), _BATCH)
    while batch := intake.take():
        yield batch


def _judge(batches: list[Batch], rules: Rules, ids: Path) -> tuple[float, list[OwedFrame]]:
    """Judge batches up to the bytes of their owed frames; return the CPU seconds, and the frames."""
    way, spent, made = road(rules, MappedIndex(ids), 1), 0.0, []
    for batch in batches:
        began = time.process_time()
        frame = judge(batch, way, time.time_ns() // 1000, {}, lambda *_: None)
        encode(frame)
        spent += time.process_time() - began
        made.append(frame)
    return spent, made
