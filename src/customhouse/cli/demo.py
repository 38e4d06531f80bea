"""`customhouse demo`: a shop full of customers sends its events through the real door, and says what became of them."""

import asyncio
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from customhouse.cli.output import FAILED, as_json, err, errors_in_words, out, shown, table
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, workspace
from customhouse.demo.conduct import Wishes, conduct
from customhouse.demo.mistakes import shares
from customhouse.demo.tally import Report, Tally
from customhouse.demo.target import Place, elsewhere, running_house
from customhouse.model.errors import Misconfigured, Problem

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "": 1.0}
_SPAN = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)\s*([smhd]?)")
_FASTEST = 100_000.0
_SPEAK = {"mixed": ("segment", "rudderstack"), "segment": ("segment",), "rudderstack": ("rudderstack",)}


Rate = Annotated[float, typer.Option("--rate", help="Events per second.")]
For = Annotated[str, typer.Option("--for", help="How long: 60s, 10m, 2h; 0 until Ctrl-C.")]
Events = Annotated[int, typer.Option("--events", min=0, help="How many events, instead of how long.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed brings the same customers.")]
Faults = Annotated[str, typer.Option("--faults", help="Mistakes on purpose: none, some, many, or a share from 0 to 1.")]
SingleMistakes = Annotated[
    list[str] | None,
    typer.Option("--mistake", metavar="NAME=SHARE", help="Share of one kind of mistake; may be repeated."),
]
History = Annotated[str, typer.Option("--history", help="Spread the events over the past, such as 7d, instead of now.")]
Speak = Annotated[str, typer.Option("--speak", help="Whose SDKs: mixed, segment or rudderstack.")]
Url = Annotated[str, typer.Option("--url", help="Another door than that of the workspace's running house.")]
WriteKey = Annotated[
    str,
    typer.Option(
        "--write-key",
        envvar="CUSTOMHOUSE_WRITE_KEY",
        help="The other door's write key: env:NAME, file:PATH or the key itself.",
    ),
]
Source = Annotated[str, typer.Option("--source", help="Send as this source of the workspace; else as its first.")]
Receipts = Annotated[
    Path | None, typer.Option("--receipts", help="Write receipt and message ids of every request into this file.")
]


def demo(
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    rate: Rate = 50.0,
    for_: For = "60s",
    events: Events = 0,
    seed: Seed = 1,
    faults: Faults = "some",
    mistake: SingleMistakes = None,
    history: History = "",
    speak: Speak = "mixed",
    url: Url = "",
    write_key: WriteKey = "",
    source: Source = "",
    receipts: Receipts = None,
    as_json_: JsonOption = False,
) -> None:
    """Send the traffic of a made-up shop through the real door: people, sessions, campaigns, consent, and mistakes.

    Ends with what was sent, acknowledged and refused, how fast, and which mistakes were made on purpose. Exit code 1
    when an event was refused or nobody answered for it.

    Examples: customhouse demo  ·  customhouse demo --rate 500 --for 10m --faults many  ·
    customhouse demo --url https://events.example.com --write-key env:KEY --rate 2000 --for 5m --faults none
    """
    with errors_in_words():
        wishes = _wishes(rate, for_, events, seed, faults, mistake or [], history, speak)
        place = Place(elsewhere(url, write_key, root)) if url else running_house(workspace(root, data), source)
        _writable(receipts)
        with _progress() as look:
            report = _run(place, wishes, look, receipts)
    if as_json_:
        as_json(report)
    else:
        _tell(report, place, _there(root))
    sys.exit(FAILED if report.refused or report.given_up else 0)


# What was asked for.


def _wishes(
    rate: float, for_: str, events: int, seed: int, faults: str, mistake: list[str], history: str, speak: str
) -> Wishes:
    """Read the options, and report everything wrong with them at once."""
    found: list[Problem] = []
    if not 0 < rate <= _FASTEST:
        found.append(Problem("--rate", f"a rate over 0 and up to {_FASTEST:,.0f} was expected", "such as 50"))
    seconds, past = _span("--for", for_, found), _span("--history", history or "0", found)
    # Whoever counts events does not mean the default time as well.
    seconds = 0.0 if events else seconds
    if past and not (events or seconds):
        found.append(Problem("--history", "a history needs to know how many events fill it", "add --events or --for"))
    if speak not in _SPEAK:
        found.append(Problem("--speak", f"{speak} is no family of SDKs", f"one of {', '.join(_SPEAK)}"))
    by_name: dict[str, float] = {}
    try:
        by_name = shares(_share(faults), _singles(mistake))
    except Misconfigured as error:
        found += error.problems
    if found:
        raise Misconfigured(found)
    return Wishes(
        rate=rate, seconds=seconds, events=events, seed=seed, families=_SPEAK[speak], shares=by_name, history=past
    )


def _span(option: str, text: str, found: list[Problem]) -> float:
    """Return a span of time in seconds."""
    read = _SPAN.fullmatch(text.strip())
    if read is None:
        found.append(Problem(option, f"{text!r} is no span of time", "write 60s, 10m, 2h or 7d"))
        return 0.0
    return float(read[1]) * _UNITS[read[2]]


def _share(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _singles(said: list[str]) -> dict[str, float]:
    """Return the shares of single mistakes. Raises Misconfigured for what is no NAME=SHARE."""
    by_name = {}
    for one in said:
        name, _, share = one.partition("=")
        value = _share(share)
        if not isinstance(value, float):
            raise Misconfigured([Problem("--mistake", f"{one!r} is no NAME=SHARE", "such as wrong_type=0.05")])
        by_name[name.strip()] = value
    return by_name


def _writable(path: Path | None) -> None:
    """Find out before the run whether its file can be written. Raises Misconfigured."""
    try:
        if path is not None:
            path.open("ab").close()
    except OSError as error:
        problem = Problem("--receipts", f"{path} cannot be written: {error.strerror}", "name another file")
        raise Misconfigured([problem]) from None


# The run.


def _run(place: Place, wishes: Wishes, look: Callable[[Tally, int], None], receipts: Path | None) -> Report:
    """Run until the end, or until Ctrl-C: then what is under way is finished and reported."""

    async def run() -> Report:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        return await conduct(place.target, wishes, stop=stop, look=look, receipts=receipts)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


@contextmanager
def _progress() -> Iterator[Callable[[Tally, int], None]]:
    """Show the run as it goes on standard error, where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(16), TimeElapsedColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("sending", total=None, said="")

        def look(tally: Tally, total: int) -> None:
            bar.update(task, completed=min(tally.acknowledged, total or tally.acknowledged), total=total or None)
            bar.update(task, said=_line(tally, bar.tasks[0].elapsed or 0.0))

        yield look


def _line(tally: Tally, seconds: float) -> str:
    """Return the run so far in one line that fits beside a bar; what went wrong stands first, and only if there is some."""
    p50, p99 = (tally.times.quantile(share) * 1000 for share in (0.5, 0.99))
    rate = tally.acknowledged / seconds if seconds else 0.0
    refused = sum(tally.refused.values())
    parts = [f"{refused:,} refused"] if refused else []
    parts += [f"{tally.retries:,} retries"] if tally.retries else []
    parts += [f"{tally.acknowledged:,} acknowledged", f"{rate:,.0f}/s", f"p50 {p50:.1f} ms", f"p99 {p99:.1f} ms"]
    return " · ".join(parts)


# The report.


def _tell(report: Report, place: Place, there: str) -> None:
    """Print the report for people, and what to look at next."""
    rows = [("sent", report.sent), ("acknowledged", report.acknowledged)]
    rows += [(f"refused: {reason}", count) for reason, count in report.refused.items()]
    rows += [("given up", report.given_up)] if report.given_up else []
    rows += [("requests", report.requests), ("retries", report.retries)]
    lines = [(name, shown(count)) for name, count in rows]
    lines += [("seconds", f"{report.seconds:,.1f}"), ("acknowledged per second", f"{report.per_second:,.1f}")]
    if report.acknowledged:
        lines += [(f"acknowledged within, {name}", f"{ms:,.1f} ms") for name, ms in report.milliseconds.items()]
    table(["what became of it", "events"], lines, title=f"Sent to {report.url}", right=["events"])
    if report.kinds:
        out.print()
        table(["kind of event", "acknowledged"], list(report.kinds.items()), right=["acknowledged"])
    if report.mistakes:
        out.print()
        made = [(each.name, each.acknowledged, each.becomes) for each in report.mistakes]
        table(["mistake on purpose", "events", "what becomes of it"], made, right=["events"])
    if report.expected:
        ends = " · ".join(f"{account} {count:,}" for account, count in report.expected.items())
        out.print(Text(f"\nIn the books of a house with the shop's plan that makes {ends}"))
    out.print()
    if report.refused.get("unknown_write_key") or report.refused.get("missing_write_key"):
        out.print(Text("The door does not know the write key; compare it with `sources` there.", style="bold red"))
    out.print(Text("Look next:", style="bold"))
    for line in _next(report, place, there):
        out.print(Text(f"  {line}"))


def _next(report: Report, place: Place, there: str) -> Iterator[str]:
    if place.console:
        yield place.console
    if place.source:
        yield f"customhouse balance{there}"
        yield f"customhouse quarantine list{there}"
        if report.receipt:
            yield f"customhouse trace {report.receipt}{there}"
    else:
        yield "there: customhouse balance  ·  customhouse quarantine list"


def _there(root: Path) -> str:
    """Return the option that names the workspace, where it is needed."""
    return "" if root.resolve() == HERE.resolve() else f" -w {root}"
