"""The verdicts of a soak, and how it is told: a JSON document for programs, a page for people."""

import statistics
from typing import Any

import msgspec
from msgspec import Struct

from bench.soak.judgement import MEGABYTE, Trend, trend
from bench.soak.watch import PARTS, Sight

_SEGMENT = 64 * MEGABYTE
_MOST_SHARE = 1.15
"""How much more disk a stored event may cost at the end than in the middle of the run."""


class Result(Struct):
    """What a soak saw."""

    sights: list[Sight]
    minutes: list[dict[str, float]]
    """Of each minute: requests, and milliseconds until they were acknowledged."""
    acknowledged: int
    missing: int
    doubled: int
    strange: int
    unaccounted: int
    booked: int
    at_hook: int
    """Events the webhook said yes to, by the books."""
    fresh: dict[str, float]
    """Seconds from acknowledgement to visible in the lake."""
    troubles: list[str]
    log_bytes: int
    removed: dict[str, int]
    """By log, the positions retention removed."""


class Verdict(Struct, frozen=True):
    """One thing that must hold, and what was seen of it."""

    what: str
    good: bool
    seen: str


def trends(result: Result) -> list[Trend]:
    """Return how memory, handles and threads of each process went."""
    found = []
    for kind in result.sights[0].processes:
        for measure in ("private", "files", "sockets", "threads"):
            points = [(sight.at, float(sight.processes[kind][measure])) for sight in result.sights]
            found.append(trend(f"{kind} {measure}", measure, points))
    return found


def verdicts(result: Result) -> list[Verdict]:
    """Say of everything that must hold whether it does."""
    rising = [each.name for each in trends(result) if not each.flat]
    total = [(s.at, float(sum(p["private"] for p in s.processes.values()))) for s in result.sights]
    whole = trend("house", "private", total)
    counts = f"{result.missing} missing, {result.doubled} twice, {result.strange} unknown"
    exact = result.missing == result.doubled == result.strange == 0
    books = f"{result.unaccounted} unaccounted; {result.booked:,} booked, {result.at_hook:,} at the webhook"
    same = result.booked == result.at_hook == result.acknowledged
    return [
        Verdict("every request was answered 200, no process started anew", not result.troubles, _few(result.troubles)),
        Verdict("memory, handles and threads of every process are flat", not rising, _few(rising)),
        Verdict(
            "memory of the house together is flat", whole.flat,
            f"{whole.slope / MEGABYTE:+.1f} MB/h at {whole.level / MEGABYTE:.0f} MB",
        ),
        *_disk(result),
        Verdict("the books balance, and agree with the client", result.unaccounted == 0 and same, books),
        Verdict("every acknowledged id is in the lake exactly once", exact, counts),
    ]  # fmt: skip  # one verdict, one line where it fits


def _disk(result: Result) -> list[Verdict]:
    """Judge the logs by their bound and the lake by what an event costs."""
    found = []
    for topic, removed in result.removed.items():
        most = max(sight.disk[f"log/{topic}"] for sight in result.sights)
        bound = result.log_bytes + 2 * _SEGMENT
        told = f"at most {most / MEGABYTE:.0f} of {bound / MEGABYTE:.0f} MB, {removed:,} events removed"
        found.append(Verdict(f"retention bounds the log {topic}", most <= bound and removed > 0, told))
    middle, last = (_per_event(result.sights[at]) for at in (len(result.sights) // 2, -1))
    told = f"{last:.0f} bytes an event at the end, {middle:.0f} in the middle"
    return [*found, Verdict("a stored event costs no more disk than before", last <= middle * _MOST_SHARE, told)]


def _per_event(sight: Sight) -> float:
    stored = sum(size for name, size in sight.disk.items() if not name.startswith("log/"))
    return stored / max(1, sight.sent)


def document(facts: dict[str, str], result: Result, found: list[Verdict]) -> dict[str, Any]:
    """Return everything as plain data."""
    return {
        "format": 1,
        "facts": facts,
        "verdicts": msgspec.to_builtins(found),
        "trends": [msgspec.to_builtins(each) | {"flat": each.flat} for each in trends(result)],
        "result": msgspec.to_builtins(result),
    }


def page(facts: dict[str, str], result: Result, found: list[Verdict]) -> str:
    """Return the page for people."""
    lines = ["# Soak", "", *(f"- {name}: {fact}" for name, fact in facts.items()), ""]
    lines += ["| must hold | seen | |", "|---|---|---|"]
    lines += [f"| {each.what} | {each.seen} | {'yes' if each.good else '**NO**'} |" for each in found]
    p50, p99 = (statistics.median(minute[name] for minute in result.minutes) for name in ("p50_ms", "p99_ms"))
    most = max(minute["most_ms"] for minute in result.minutes)
    fresh = result.fresh
    lines += [
        "",
        f"Acknowledged {result.acknowledged:,} events. Acknowledgement: p50 {p50:.1f} ms, p99 {p99:.1f} ms (medians of",
        f"the minutes), worst {most:.0f} ms. Freshness: p50 {fresh['p50']:.2f} s, p99 {fresh['p99']:.2f} s, worst",
        f"{fresh['most']:.2f} s. Most events waiting for the pipeline {max(s.unjudged for s in result.sights):,}, for the",
        f"lake {max(s.undelivered for s in result.sights):,}. Processes that wanted to run on the whole machine:",
        f"{statistics.median(s.load for s in result.sights):.1f} in the middle, {max(s.load for s in result.sights):.1f} at most.",
        "",
        "| process | private memory, MB | per hour | rise of the half (allowed) | PSS | RSS | files | sockets | threads |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += _processes(result)
    lines += ["", "| on disk, MB | a quarter | half | three quarters | end | most |", "|---|---|---|---|---|---|"]
    count = len(result.sights)
    for name in PARTS:
        sizes = [sight.disk[name] / MEGABYTE for sight in result.sights]
        picked = [sizes[count // 4], sizes[count // 2], sizes[count * 3 // 4], sizes[-1], max(sizes)]
        lines.append(f"| {name} | " + " | ".join(f"{size:.0f}" for size in picked) + " |")
    return "\n".join(lines) + "\n"


def _processes(result: Result) -> list[str]:
    told, known = [], {each.name: each for each in trends(result)}
    last = result.sights[-1].processes
    for kind, now in last.items():
        memory = known[f"{kind} private"]
        counts = [
            f"{known[f'{kind} {what}'].level:.0f} ({known[f'{kind} {what}'].slope:+.1f}/h)"
            for what in ("files", "sockets", "threads")
        ]
        rise = f"{memory.rise / MEGABYTE:+.1f} ({memory.allowed / MEGABYTE:.1f})"
        cells = [kind, f"{memory.level / MEGABYTE:.0f}", f"{memory.slope / MEGABYTE:+.1f}", rise]
        cells += [f"{now[what] / MEGABYTE:.0f}" for what in ("pss", "rss")]
        told.append("| " + " | ".join([*cells, *counts]) + " |")
    return told


def _few(words: list[str]) -> str:
    return "; ".join(words[:5]) or "all"
