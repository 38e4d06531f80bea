"""`customhouse import`: history from files, through the door of the running house, each row once and with its own time."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from customhouse.app.configuration import Configuration, read
from customhouse.app.process import announcement
from customhouse.app.rules import newest
from customhouse.app.upkeep.history.asked import STDIN, known, plan_asked, shape_asked
from customhouse.app.upkeep.history.door import Door
from customhouse.app.upkeep.history.judge import Ready
from customhouse.app.upkeep.history.progress import Progress as Held
from customhouse.app.upkeep.history.progress import Refused, content_of, held
from customhouse.app.upkeep.history.rows import opened
from customhouse.app.upkeep.history.run import Import, Plan, Tally
from customhouse.app.workspace import Workspace, accepted
from customhouse.cli.output import FAILED, as_json, err, errors_in_words, out
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, workspace
from customhouse.model.errors import CustomhouseError, Unavailable
from customhouse.model.secret import Secret
from customhouse.settings import resolve

SOME_REFUSED = 3
"""Exit code: everything was read, and some rows were not sent."""

_MOST_SHOWN = 1000
"""Problem rows in one JSON document."""

Files = Annotated[list[str], typer.Argument(help="JSON Lines or CSV, .gz too; `-` for standard input.", metavar="FILE")]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map", help="COLUMN=FIELD[:TYPE]; TYPE: string, number, integer, boolean, time, json. `*` for the rest."
    ),
]
SourceOption = Annotated[str, typer.Option("--source", help="The source these events belong to, as configured.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="FIELD=TEXT that every event says.")]
MapFileOption = Annotated[Path | None, typer.Option("--map-file", help="YAML with `map:` and `set:`.")]
FormOption = Annotated[str, typer.Option("--format", help="jsonl or csv, instead of what the file's ending says.")]
DelimiterOption = Annotated[str, typer.Option(help="Between CSV columns; a comma, or a tab in .tsv.")]
UndatedOption = Annotated[
    bool, typer.Option("--undated", help="Also send rows without a time; they get that of receipt.")
]
DryRunOption = Annotated[
    int | None, typer.Option("--dry-run", min=0, help="Send nothing: show so many events, and every problem.")
]
AgainOption = Annotated[bool, typer.Option("--again", help="Import from the beginning, though it was imported before.")]
PatienceOption = Annotated[float, typer.Option(min=0, help="Seconds to wait for a door that is busy or closed.")]


class _Options(Struct, frozen=True):
    place: Workspace
    configuration: Configuration
    plan: Plan
    again: bool
    patience: float
    json: bool


def import_(
    files: Files,
    source: SourceOption,
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    maps: MapOption = None,
    sets: SetOption = None,
    map_file: MapFileOption = None,
    form: FormOption = "",
    delimiter: DelimiterOption = "",
    undated: UndatedOption = False,
    dry_run: DryRunOption = None,
    again: AgainOption = False,
    patience: PatienceOption = 300.0,
    as_json_: JsonOption = False,
) -> None:
    """Import history. Times are kept as they are; a stopped import goes on where it was; rows that cannot be read are listed.

    Exit code 0: every row is in. 1: stopped before the end. 2: wrong use. 3: some rows were refused, see the list.

    Example: customhouse import events.jsonl.gz --source web

    Example: customhouse import orders.csv --source shop --set event=Ordered --map 'user id=userId' --map when=timestamp
    --map total=properties.total:number --dry-run 3
    """
    with errors_in_words():
        shape = shape_asked(maps or [], sets or [], map_file)
        place = workspace(root, data)
        configuration = newest(place).configuration if accepted(place) else read(place, {})[1]
        plans = [(name, plan_asked(name, form, source, shape, delimiter, undated=undated)) for name in files]
        known(configuration, source)
        results = []
        for name, plan in plans:
            options = _Options(place, configuration, plan, again=again, patience=patience, json=as_json_)
            results.append(_dry(name, options, dry_run) if dry_run is not None else _import(name, options))
        if as_json_:
            as_json(results if len(results) > 1 else results[0])
        stopped = any(result.get("stopped") for result in results)
        sys.exit(FAILED if stopped else SOME_REFUSED if any(result["refused"] for result in results) else 0)


def _import(name: str, options: _Options) -> dict[str, Any]:
    """Import one file; return what came of it. Raises Unavailable when the house is closed."""
    if announcement(options.place, "collector") is None:
        raise Unavailable("the house is closed; start it with `customhouse run`, and import again")
    source, plan = options.configuration.sources[options.plan.source], options.plan
    key = resolve(source.write_key, options.place.root, f"customhouse.yaml: sources.{plan.source}.write_key")
    folder = options.place.data / "imports"
    folder.mkdir(exist_ok=True, mode=0o700)
    if name == STDIN:
        listed = folder / f"stdin-{time.time_ns()}.refused.jsonl"
        return _send(name, options, key, listed, None)
    path = Path(name)
    size = path.stat().st_size if path.exists() else 0
    with _bar("reading", size) as tell:
        content = content_of(path, lambda done: tell(done, ""))
    with held(folder, content, plan.source, plan.hash, again=options.again) as progress:
        record = progress.record
        if record.finished_at:
            words = f"{path.name} was imported before; nothing was sent (import it once more with --again)"
            return _told({"file": name, "already": True, "rows": record.rows, "refused": 0, "message": words}, options)
        return _send(name, options, key, path.with_name(path.name + ".refused.jsonl"), progress)


def _send(name: str, options: _Options, key: Secret, listed: Path, progress: Held | None) -> dict[str, Any]:
    path = None if name == STDIN else Path(name)
    size = path.stat().st_size if path is not None else 0
    scratch = options.place.data / "imports" / f"{listed.name}.{time.time_ns()}.scratch"
    work = Import(options.plan, options.configuration.limits.limits(), _protocol(options), scratch)
    refused = Refused(listed, progress.record.refused_bytes if progress else 0)
    stopped = ""
    with opened(path, sys.stdin.buffer) as (file, at), _bar("sending", size) as tell:
        host = options.configuration.listen.host
        door = Door(
            options.place, host, key, patience=options.patience, waiting=lambda why: tell(at(), f"waiting: {why}")
        )
        with closing(door), closing(refused):
            try:
                work.run(file, door, refused, progress, lambda tally: tell(at(), _rate(tally)))
            except CustomhouseError as error:
                if not work.tally.rows:
                    raise
                stopped = str(error)
            except KeyboardInterrupt:
                err.print(f"stopped behind row {work.tally.rows:,}; the same command goes on from there")
                raise
    return _told(_result(name, work.tally, listed, stopped, progress), options)


def _result(name: str, tally: Tally, listed: Path, stopped: str, progress: Held | None) -> dict[str, Any]:
    record = progress.record if progress is not None else None
    found: dict[str, Any] = {
        "file": name, "rows": tally.rows, "skipped": tally.skipped, "sent": tally.sent,
        "acknowledged": tally.acknowledged, "refused": record.refused if record else tally.refused,
        "reasons": tally.reasons, "seconds": round(tally.seconds, 3),
        "events_per_second": round(tally.acknowledged / tally.seconds) if tally.seconds else 0,
        "unused_columns": tally.unused,
    }  # fmt: skip
    if found["refused"]:
        found["refused_list"] = str(listed)
    if stopped:
        found["stopped"] = stopped
    return found


def _told(result: dict[str, Any], options: _Options) -> dict[str, Any]:
    """Tell people what came of one file; programs get everything at the end."""
    if options.json:
        return result
    if result.get("already"):
        out.print(result["message"])
        return result
    out.print(
        f"{result['file']}: {result['acknowledged']:,} events sent and acknowledged in {result['seconds']:,.1f} s"
        f" ({result['events_per_second']:,} events/s)"
    )
    if result["skipped"]:
        out.print(f"  {result['skipped']:,} rows were settled before")
    if result["unused_columns"]:
        out.print(f"  columns left behind: {', '.join(result['unused_columns'])}")
    if result["refused"]:
        out.print(
            Text(f"  {result['refused']:,} rows refused, listed with reasons in {result['refused_list']}", style="red")
        )
        for reason, count in sorted(result["reasons"].items()):
            out.print(f"    {count:,} {reason}")
    if result.get("stopped"):
        err.print(Text(f"  stopped behind row {result['rows']:,}: {result['stopped']}", style="bold red"))
    return result


def _dry(name: str, options: _Options, shown: int) -> dict[str, Any]:
    """Read a whole file and send nothing: the first events as they would be sent, and every row that would not be."""
    path = None if name == STDIN else Path(name)
    events: list[Any] = []
    problems: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    rows = 0
    with opened(path, sys.stdin.buffer) as (file, _), TemporaryDirectory() as scratch:
        work = Import(options.plan, options.configuration.limits.limits(), _protocol(options), Path(scratch) / "counts")
        for ready in (each for batch in work.ready(file) for each in batch):
            rows += 1
            counts[ready.reason] += 1
            if not ready.reason and len(events) < shown:
                events.append(msgspec.Raw(ready.body))
                if not options.json:
                    as_json(msgspec.Raw(ready.body))
            elif ready.reason and not options.json:
                err.print(
                    Text(
                        f"row {ready.row.number:,} (line {ready.row.line:,}): {ready.reason}: {ready.detail}",
                        style="red",
                    )
                )
            elif ready.reason and len(problems) < _MOST_SHOWN:
                problems.append(_problem(ready))
    good = counts.pop("", 0)
    if not options.json:
        out.print(f"{name}: {rows:,} rows, {good:,} would be sent, {rows - good:,} would be refused; nothing was sent")
        if work.tally.unused:
            out.print(f"  columns left behind: {', '.join(work.tally.unused)}")
    return {
        "file": name, "rows": rows, "would_send": good, "refused": rows - good, "reasons": dict(counts),
        "events": events, "problems": problems, "unused_columns": work.tally.unused,
    }  # fmt: skip


def _problem(ready: Ready) -> dict[str, Any]:
    return {"row": ready.row.number, "line": ready.row.line, "reason": ready.reason, "detail": ready.detail}


def _rate(tally: Tally) -> str:
    speed = f"{tally.acknowledged / tally.seconds:,.0f} events/s" if tally.seconds else ""
    return f"{tally.rows:,} rows  {tally.refused:,} refused  {speed}"


@contextmanager
def _bar(title: str, size: int) -> Iterator[Any]:
    """Show how far into a file it is, where somebody looks; yields a function of bytes and words."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(10),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(title, total=size or None, words="")
        yield lambda done, words: progress.update(task, completed=done, words=words)


def _protocol(options: _Options) -> str:
    return options.configuration.sources[options.plan.source].protocol
