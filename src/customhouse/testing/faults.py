"""
Faults on purpose, at named points of the road: what chaos tests hand in where every other day has `no_fault`.

A rule reads `point=deed@n`, several separated by `;`: at the n-th time the point is passed (every time with `@*`), do
`kill` (SIGKILL this process), `eio` or `enospc` (raise that OSError), or `sleep:SECONDS`. A point may end in `*`.
"""

import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from customhouse.model.contracts import Fault, no_fault

VARIABLE = "CUSTOMHOUSE_FAULTS"


class Rule(Struct, frozen=True):
    """One fault: where, what, and at which time of passing (0 for every time)."""

    point: str
    deed: str
    nth: int


def parse(text: str) -> list[Rule]:
    """Read rules. Raises ValueError in words when one cannot be read."""
    rules = []
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        point, equals, rest = part.partition("=")
        deed, _, nth = rest.partition("@")
        known = deed in ("kill", "eio", "enospc") or deed.startswith("sleep:")
        if not equals or not known or not (nth in ("", "*") or nth.isdigit()):
            raise ValueError(f"a fault reads point=kill|eio|enospc|sleep:SECONDS@n, not {part!r}")
        rules.append(Rule(point, deed, 0 if nth == "*" else int(nth or 1)))
    return rules


def from_environment(environment: Mapping[str, str]) -> Fault:
    """Return the faults asked for in the environment; none, at no cost, when there are none."""
    text = environment.get(VARIABLE, "")
    return Faults(parse(text)) if text else no_fault


class Faults:
    """Counts how often each point is passed and does what the rules say."""

    def __init__(self, rules: list[Rule]) -> None:
        """Start counting from nothing."""
        self._rules = rules
        self._passed: Counter[Rule] = Counter()

    def __call__(self, point: str) -> None:
        """Pass a point."""
        for rule in self._rules:
            if point == rule.point or (rule.point.endswith("*") and point.startswith(rule.point[:-1])):
                self._passed[rule] += 1
                if rule.nth in (0, self._passed[rule]):
                    _do(rule.deed)


def _do(deed: str) -> None:
    if deed == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif deed == "eio":
        raise OSError(errno.EIO, "input/output error, on purpose")
    elif deed == "enospc":
        raise OSError(errno.ENOSPC, "no space left on device, on purpose")
    else:
        time.sleep(float(deed.partition(":")[2]))
