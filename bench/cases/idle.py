"""Idle: what a whole house costs when nothing happens, in percent of a core."""

import time
from collections.abc import Iterator

from bench.house import whole
from bench.units import Scale


def rounds(scale: Scale) -> Iterator[dict[str, float]]:
    """Let a house stand there for a while."""
    seconds = scale.of(10, 5)
    with whole(scale.scratch) as house:
        time.sleep(3)
        for _ in range(scale.of(3, 1)):
            before = house.cpu()
            time.sleep(seconds)
            spent = {kind: (used - before[kind]) / seconds * 100 for kind, used in house.cpu().items()}
            yield {"idle": sum(spent.values()), **{f"idle.{kind}": share for kind, share in spent.items()}}
