"""
How long to wait after a failure: exponential back-off with full jitter, bounded. Pure: chance is handed in.

Full jitter, because many houses may send to one destination, and those that failed together must not return together.
"""


def delay(failures: int, chance: float, *, base: float, cap: float) -> float:
    """
    Return the seconds to wait after so many failures in a row (1 for the first).

    `chance` is uniform in 0 to 1. The wait is that share of `base · 2^(failures - 1)`, or of `cap` when that is less.
    """
    doublings = min(max(failures, 1) - 1, 62)
    return chance * min(cap, base * 2.0**doublings)


def wait(failures: int, chance: float, asked: float | None, *, base: float, cap: float) -> float:
    """Return the seconds to wait, at least as long as the destination asked for, but no longer than `cap`."""
    own = delay(failures, chance, base=base, cap=cap)
    return own if asked is None else min(cap, max(own, asked))
