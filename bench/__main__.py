"""
Runs the cases and holds their figures to the budget.

    python -m bench [--quick] [--only NAME …] [--json]

Each case is measured in rounds, with the unit measured around each. Exit code 1 when a figure is over its gate.
"""

import argparse
import json
import os
import statistics
import sys
import time
import tomllib
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from msgspec import Struct

from bench.units import Sample, Scale, Unit, machine, others_busy

CASES = ("door", "road", "replay", "freshness", "ledger", "size", "idle", "memory")
BUDGET = Path(__file__).with_name("budget.toml")
_BUSY = 0.2
"""Cores used by others that are worth a warning."""


class Budget(Struct, frozen=True, rename={"measure": "in"}, forbid_unknown_fields=True):
    """What one figure is held to."""

    measure: str
    what: str
    goal: float | None = None
    gate: float | None = None


class Budgets(Struct, frozen=True, forbid_unknown_fields=True):
    """All of them, and what the unit costs on the reference machine."""

    reference: float
    figures: dict[str, Budget]


class Figure(Struct, frozen=True):
    """One figure over all rounds."""

    name: str
    median: float
    least: float
    most: float
    rounds: int
    units: float
    """Median of the figure divided by the unit of its round."""

    @classmethod
    def of(cls, name: str, samples: list[Sample]) -> "Figure":
        """Sum up the rounds."""
        values = [sample.value for sample in samples]
        units = statistics.median(sample.value / sample.unit for sample in samples)
        return cls(name, statistics.median(values), min(values), max(values), len(values), units)

    def verdict(self, budget: Budget | None, reference: float) -> str:
        """Say how the figure stands to its budget, in a word; empty when it has none."""
        if budget is None or budget.gate is None:
            return ""
        is_cpu = budget.measure == "µs"
        if self.median > budget.gate and not (is_cpu and self.units <= budget.gate / reference):
            return "OVER"
        goal = budget.goal or budget.gate
        met = self.median <= goal or (is_cpu and self.units <= goal / reference)
        return "goal" if met else "gate"


def main() -> int:
    """Measure and judge."""
    options = _options()
    budgets = msgspec.convert(tomllib.loads(BUDGET.read_text()), Budgets)
    before, unit = others_busy(), Unit()
    figures: dict[str, Figure] = {}
    units: list[float] = []
    say = sys.stderr if options.json else sys.stdout
    with TemporaryDirectory(prefix="customhouse-bench-", dir=options.folder) as scratch:
        scale = Scale(options.quick, Path(scratch))
        for name in options.only or CASES:
            began = time.monotonic()
            found = _measure(name, scale, unit)
            units += [sample.unit for samples in found.values() for sample in samples]
            figures |= {figure: Figure.of(figure, samples) for figure, samples in found.items()}
            print(f"{name}: {time.monotonic() - began:.0f} s", file=say, flush=True)
    facts = machine() | {
        "unit": f"{statistics.median(units):.2f} µs for {unit.bytes:.0f} bytes ({min(units):.2f} to {max(units):.2f})",
        "load": f"{os.getloadavg()[0]:.1f} at the end; others used {before:.1f} cores at the start",
    }
    verdicts = {name: figure.verdict(budgets.figures.get(name), budgets.reference) for name, figure in figures.items()}
    if options.json:
        print(json.dumps(_plain(facts, figures, verdicts, budgets), indent=1))
    else:
        _show(facts, figures, verdicts, budgets)
    if before > _BUSY:
        print(
            f"warning: others used {before:.1f} cores; CPU figures are worse than on a quiet machine", file=sys.stderr
        )
    return int("OVER" in verdicts.values())


def _measure(name: str, scale: Scale, unit: Unit) -> dict[str, list[Sample]]:
    """Return the samples of one case, by figure."""
    found: dict[str, list[Sample]] = defaultdict(list)
    before = unit.measure()
    for figures in import_module(f"bench.cases.{name}").rounds(scale):
        after = unit.measure()
        for figure, value in figures.items():
            found[figure].append(Sample(value, (before + after) / 2))
        before = after
    return found


def _show(facts: dict[str, str], figures: dict[str, Figure], verdicts: dict[str, str], budgets: Budgets) -> None:
    print()
    for name, fact in facts.items():
        print(f"{name:14} {fact}")
    heads = ("median", "least", "most", "n", "units", "goal", "gate", "")
    print("\n{:62} {:>10} {:>10} {:>10} {:>3} {:>6} {:>6} {:>6}  {}".format("", *heads))
    for name, figure in sorted(figures.items(), key=lambda each: each[0] not in budgets.figures):
        budget = budgets.figures.get(name)
        units = f"{figure.units:6.2f}" if budget and budget.measure == "µs" else ""
        goal, gate = (budget.goal or "", budget.gate or "") if budget else ("", "")
        told = f"{budget.what} ({budget.measure})" if budget else f"  {name}"
        spread = f"{_short(figure.median):>10} {_short(figure.least):>10} {_short(figure.most):>10}"
        print(f"{told:62} {spread} {figure.rounds:>3} {units:>6} {goal:>6} {gate:>6}  {verdicts[name]}")
    print(
        "\nThe last column says `goal` (met), `gate` (kept) or `OVER`, which fails the run. Indented figures have no budget."
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def _plain(
    facts: dict[str, str], figures: dict[str, Figure], verdicts: dict[str, str], budgets: Budgets
) -> dict[str, Any]:
    told = {name: msgspec.structs.asdict(figure) | {"verdict": verdicts[name]} for name, figure in figures.items()}
    for name, figure in told.items():
        if budget := budgets.figures.get(name):
            figure |= {"in": budget.measure, "what": budget.what, "goal": budget.goal, "gate": budget.gate}
    return {"machine": facts, "reference": budgets.reference, "figures": list(told.values())}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[1])
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and events: under two minutes")
    parser.add_argument("--only", action="append", choices=CASES, metavar="NAME", help=f"one of {', '.join(CASES)}")
    parser.add_argument(
        "--folder", help="where the houses stand while they are measured; the system's temporary folder"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
