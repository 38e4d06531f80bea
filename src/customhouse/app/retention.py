"""
Retention of the logs: what everybody has dealt with is removed by age and by size, and what was removed is known.

Each log is tended by the process that writes it. How far the readers have come they say themselves; while they have
said nothing, nothing is removed. Nothing that somebody has yet to read is taken, so no account moves.
"""

import time
from collections.abc import Callable

from customhouse.model.contracts import Log
from customhouse.telemetry.logs import Logger

SECONDS = 60.0
"""How often a log is looked at."""
_DAY = 86_400_000_000


def retain(log: Log, topic: str, floor: Callable[[int], int], logger: Logger, *, days: int, size: int) -> None:
    """Remove what is older than `days`, or beyond `size` bytes, in every partition of a topic, through its floor."""
    before = time.time_ns() // 1000 - days * _DAY
    for partition in log.partitions(topic):
        reached = floor(partition)
        if reached < 0:
            continue
        for gone in log.retain(topic, partition, floor=reached, before=before, size=size):
            logger.info(
                "log.retained",
                topic=gone.topic,
                partition=gone.partition,
                first=gone.first,
                last=gone.last,
                records=gone.records,
                bytes=gone.size,
            )
