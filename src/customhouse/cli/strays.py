"""
Buries orphans. In a container the supervisor is the first process, and whoever loses its parent becomes its child.

Nobody else would take note of their end, and each would keep its place in the table of processes for ever.
"""

import os
from collections.abc import Collection

_FIRST = 1
"""The process id that inherits orphans."""


def bury_if_first(own: Collection[int]) -> None:
    """Do what `bury` does where orphans come to us, and nothing elsewhere."""
    if os.getpid() == _FIRST:
        bury(own)


def bury(own: Collection[int]) -> int:
    """
    Take note of ended children that are not our own; return how many there were.

    Our own, by process id, are left to the one who waits for their exit code; behind one that has ended, strays wait for
    the next call.
    """
    buried = 0
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # none at all
            return buried
        if ended is None or ended.si_pid in own:
            return buried
        os.waitpid(ended.si_pid, 0)
        buried += 1
