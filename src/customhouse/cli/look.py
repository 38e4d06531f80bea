"""Looking: `trace` tells one event's way, `tail` shows events as they are judged, `sql` asks the lake."""

import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from customhouse.cli.output import as_json, errors_in_words, fail, out, table, when
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, reading, workspace
from customhouse.ledger.explain import Story
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.frames import OWED_TOPIC, OwedFrame, TrailRow, decode_owed
from customhouse.wire.ids import hex_id

_TONES = {
    "good": ("✓", "green"),
    "wait": ("…", "yellow"),
    "bad": ("✗", "red"),
    "info": ("·", "blue"),
    "again": ("↻", "magenta"),
}
_POLL_SECONDS = 0.2
_READ_BYTES = 1024 * 1024


def trace(
    event: Annotated[str, typer.Argument(help="Event id, message id, or the receipt the door answered with.")],
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    as_json_: JsonOption = False,
) -> None:
    """Tell where an event is, and its whole way there: times, plan version, every answer of every destination.

    Examples: customhouse trace my-message-id  ·  customhouse trace 0:1042+15
    """
    from customhouse.app.trace import trace as find_stories  # brings the tables, which no other command needs

    with errors_in_words(), reading(root, data) as open_:
        stories = find_stories(open_.workspace.lake, open_.log, open_.pipeline, open_.delivery, event)
    if as_json_:
        as_json([msgspec.to_builtins(story) for story in stories])
        sys.exit(0 if stories else 1)
    if not stories:
        hint = "a refused event leaves no trace but a count: see `customhouse balance`; else its log has been retained away"
        fail(f"no event is known by {event!r}", hint)
    for story in stories:
        _tell(story)


def _tell(story: Story) -> None:
    """Print one story as a vertical line."""
    named = f"{story.type} {story.event}".strip() or "event"
    out.print(Text(f"{named}  {story.event_id}", style="bold"))
    out.print(Text(f"message id {story.message_id or '(none)'}, source {story.source}, now: {story.state}\n"))
    for step in story.steps:
        mark, colour = _TONES[step.tone]
        line = Text("  ")
        line.append(mark, style=colour)
        line.append(f" {when(step.at):24} ")
        line.append(f"{step.station:12}", style="bold")
        line.append(step.words)
        out.print(line)
    out.print()


def tail(
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    only: Annotated[str, typer.Option("--only", help="`good` or `bad` events only.")] = "",
    source: Annotated[str, typer.Option("--source", help="Only this source.")] = "",
    event: Annotated[str, typer.Option("--event", help="Only events of this name.")] = "",
    last: Annotated[int, typer.Option("--last", min=0, help="Begin with so many of the newest events.")] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on as new ones come.")] = True,
    as_json_: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Show events as they are judged, good and bad, with the reason.

    Example: customhouse tail --only bad
    """
    with errors_in_words():
        log = EmbeddedLog(workspace(root, data).log)
        waited = False
        try:
            for owed, row in _rows(log, last, follow=follow):
                good = row.fate in ("routed", "unrouted")
                if (only and only != ("good" if good else "bad")) or (source and row.source != source):
                    continue
                if not event or row.name == event:
                    _line(owed, row, good=good, as_json_=as_json_)
                    waited = True
        except KeyboardInterrupt:
            return
        if not waited and not follow and not as_json_:
            out.print("no events yet; send one: see `customhouse run`")


def _rows(log: EmbeddedLog, last: int, *, follow: bool) -> Iterator[tuple[OwedFrame, TrailRow]]:
    """Walk the trail from some of the newest rows on."""
    after = {partition: _before_newest(log, partition) for partition in log.partitions(OWED_TOPIC)}
    newest: list[tuple[OwedFrame, TrailRow]] = []
    for partition in after:
        newest += _read(log, partition, after)
    yield from sorted(newest, key=lambda each: each[1].received_at)[-last:] if last else ()
    while follow:
        came = [row for partition in log.partitions(OWED_TOPIC) for row in _read(log, partition, after)]
        yield from came
        if not came:
            time.sleep(_POLL_SECONDS)


def _before_newest(log: EmbeddedLog, partition: int) -> int:
    """Return a position some frames before the end, so that the newest rows are shown without reading everything."""
    end = log.last(OWED_TOPIC, partition)
    return max(-1, end.base - 2000) if end else -1


def _read(log: EmbeddedLog, partition: int, after: dict[int, int]) -> list[tuple[OwedFrame, TrailRow]]:
    rows: list[tuple[OwedFrame, TrailRow]] = []
    while frames := log.read(OWED_TOPIC, partition, after=after.get(partition, -1), limit=_READ_BYTES):
        for frame in frames:
            owed = decode_owed(frame.body)
            rows += [(owed, row) for row in owed.trail]
        after[partition] = frames[-1].last
    return rows


def _line(owed: OwedFrame, row: TrailRow, *, good: bool, as_json_: bool) -> None:
    if as_json_:
        document = {"judged_at": owed.now, "good": good, **msgspec.structs.asdict(row), "id": hex_id(row.id)}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        sys.stdout.flush()
        return
    mark, colour = ("✓", "green") if good else (("↻", "magenta") if row.fate.startswith("dropped") else ("✗", "red"))
    line = Text()
    line.append(mark, style=colour)
    line.append(f" {when(row.received_at)}  {row.source:12} {row.type:9} {row.name or '·':28} ")
    told = ", ".join(row.routes) if row.routes else row.fate
    line.append(told + (f"  {row.detail}" if row.detail else ""), style="" if good else colour)
    out.print(line)


def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT; the tables are events, trail and receipts.")],
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    as_json_: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Ask the lake with SQL (DuckDB), while everything runs. The tables can be read, not changed.

    Example: customhouse sql "select event, count(*) from events group by 1 order by 2 desc"
    """
    with errors_in_words():
        from customhouse.tables.query import query

        answer = query(workspace(root, data).lake, statement)
        if as_csv:
            _csv(answer, sys.stdout)
        elif as_json_:
            as_json(answer.to_pylist())
        else:
            right = [field.name for field in answer.schema if _is_number(field.type)]
            table(answer.column_names, [list(row.values()) for row in answer.to_pylist()], right=right)


def _csv(answer: Any, stream: Any) -> None:
    import csv

    writer = csv.writer(stream)
    writer.writerow(answer.column_names)
    writer.writerows(row.values() for row in answer.to_pylist())


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
