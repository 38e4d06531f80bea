"""
Event ids from the clock: UUIDv7 whose last twelve bits are left to number the events of one request.

Ids sort by time of receipt, so that one day of the lake is one stretch of ids.
"""

import random

_STEPS = 4096
"""Steps per millisecond: the twelve bits UUIDv7 leaves for it."""
_MILLISECOND = 1_000_000
_VERSION = 7 << 76
_VARIANT = 2 << 62


class Mint:
    """Makes envelope ids that only grow within one process, even when the clock is set back."""

    __slots__ = ("_bits", "_last")

    def __init__(self, seed: int | None = None) -> None:
        """Take fresh randomness from the system, or a seed for tests."""
        # Ids must be unique, not secret: the fast generator, seeded by the system, is the right one.
        self._bits = random.Random(seed).getrandbits  # noqa: S311
        self._last = 0

    def id(self, now: int) -> bytes:
        """Return the next id for a time in nanoseconds since 1970."""
        step = now * _STEPS // _MILLISECOND
        if step <= self._last:
            step = self._last + 1
        self._last = step
        time = (step >> 12 << 80) | ((step & 4095) << 64)
        return (time | _VERSION | _VARIANT | self._bits(50) << 12).to_bytes(16, "big")
