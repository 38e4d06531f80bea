"""`customhouse backup` and `customhouse restore`: snapshots of a workspace while it runs, and putting one back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from typer.core import TyperGroup

from customhouse.app.workspace import CONFIG_FILE, Workspace, accepted, locate
from customhouse.cli.output import FAILED, as_json, err, errors_in_words, out, shown, table, when
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, workspace

Destination = Annotated[Path, typer.Argument(help="Folder of the back-up.", show_default=False)]


class _Verbs(TyperGroup):
    """A group whose first word may also be a folder: `backup FOLDER` takes a snapshot."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb in where somebody left it out."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["make", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    help="Back up a workspace, also while it runs: `customhouse backup FOLDER`. Each back-up writes only what is new.",
)


@app.command()
def make(
    destination: Destination, root: WorkspaceOption = HERE, data: DataOption = "", json: JsonOption = False
) -> None:
    """Take a snapshot of the workspace into a folder, also while it runs; `backup FOLDER` means this.

    Example: customhouse backup /mnt/backup/shop
    """
    from customhouse.app.upkeep.backup.take import back_up  # the other verbs need no lake

    with errors_in_words():
        place = workspace(root, data)
        with _bar("backing up", in_bytes=True) as (begin, tick):
            taken = back_up(place, destination, begin=begin, tick=tick)
        if json:
            as_json(taken)
            return
        out.print(Text(f"snapshot {taken.snapshot}", style="bold green"))
        out.print(
            f"  {taken.files:,} files, {_size(taken.bytes)}: {_size(taken.copied)} copied, {_size(taken.reused)} "
            f"already there, in {taken.seconds:.1f} s"
        )
        out.print(f"  restore it with: customhouse restore {destination}")


@app.command("list")
def list_(destination: Destination, json: JsonOption = False) -> None:
    """Show the snapshots of a back-up, oldest first.

    Example: customhouse backup list /mnt/backup/shop
    """
    from customhouse.app.upkeep.backup.take import listed

    with errors_in_words():
        found = listed(destination)
        if json:
            as_json(found)
            return
        columns = ("snapshot", "taken by", "format", "config", "files", "size")
        rows = [
            (each.snapshot, each.version, each.data_format, each.config, each.files, _size(each.bytes))
            for each in found
        ]
        table(columns, rows, right=columns[2:])


@app.command()
def verify(
    destination: Destination,
    snapshot: Annotated[str, typer.Option("--snapshot", help="Only this one, instead of all.")] = "",
    json: JsonOption = False,
) -> None:
    """Read every piece of a back-up and check that it is what was written; ends with 1 when something is damaged.

    Example: customhouse backup verify /mnt/backup/shop
    """
    from customhouse.app.upkeep.backup.take import verify as read_all

    with errors_in_words():
        with _bar("verifying", in_bytes=False) as (begin, tick):
            pieces, found = read_all(destination, snapshot, begin=begin, tick=tick)
        if json:
            as_json({"pieces": pieces, "problems": [msgspec.structs.asdict(each) for each in found]})
        else:
            for each in found:
                err.print(Text(str(each), style="red"))
            out.print(f"{pieces:,} pieces read, {shown(len(found)) if found else 'none'} damaged")
        if found:
            raise SystemExit(FAILED)


@app.command()
def prune(
    destination: Destination,
    keep: Annotated[int, typer.Option("--keep", help="How many of the newest snapshots stay.")],
    json: JsonOption = False,
) -> None:
    """Remove all but the newest snapshots, and what only they needed.

    Example: customhouse backup prune /mnt/backup/shop --keep 14
    """
    from customhouse.app.upkeep.backup.take import prune as remove

    with errors_in_words():
        pruned = remove(destination, keep)
        if json:
            as_json(pruned)
            return
        out.print(
            f"{pruned.kept} snapshot(s) kept, {pruned.snapshots} removed, {pruned.objects:,} pieces "
            f"({_size(pruned.bytes)}) freed"
        )


def restore(
    destination: Destination,
    snapshot: Annotated[str, typer.Option("--snapshot", help="Which one; the newest when not said.")] = "",
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    json: JsonOption = False,
) -> None:
    """Put a snapshot back as the data folder, which must be empty or absent; `customhouse run` goes on from there.

    Example: customhouse restore /mnt/backup/shop --workspace shop
    """
    from customhouse.app.upkeep.backup.restore import restore as put_back

    with errors_in_words():
        place = _place(root, data)
        with _bar("restoring", in_bytes=True) as (begin, tick):
            restored = put_back(place, destination, snapshot, begin=begin, tick=tick)
        notes = _differences(place)
        if json:
            as_json(msgspec.structs.asdict(restored) | {"notes": notes})
            return
        out.print(Text(f"restored {restored.snapshot}", style="bold green"))
        out.print(f"  taken {when(restored.created_at)}, {restored.files:,} files, {_size(restored.bytes)}")
        if restored.migrates:
            out.print("  it has an older format; the next start brings it up")
        for note in notes:
            err.print(Text(f"  ! {note}", style="yellow"))
        out.print("  next: customhouse run, then customhouse balance")


def _place(root: Path, data: str) -> Workspace:
    """Return the workspace; one that lost its configuration may still be restored where `--data` says."""
    return locate(root, data, {}) if data and not (root / CONFIG_FILE).exists() else workspace(root, data)


def _differences(place: Workspace) -> list[str]:
    """Return what somebody must know before the first start: files of the user that are not those of the snapshot."""
    from customhouse.app.upkeep.written import texts

    version = accepted(place)
    if version is None:
        return []
    back = f"`customhouse config rollback {version.number}`"
    if not place.config_file.exists():
        there = f"its text is in {place.data / 'config' / f'{version.number:05d}.json'}, under `files`"
        return [f"there is no {CONFIG_FILE} here: put yours back from version control; {there}"]
    if not version.files or texts(place) == version.files:
        return []
    note = (
        f"{CONFIG_FILE} or the plan is not that of the snapshot (configuration {version.number}): `customhouse run` "
        f"takes it in as a new version; {back} puts the snapshot's back while the house runs"
    )
    return [note]


@contextmanager
def _bar(name: str, *, in_bytes: bool) -> Iterator[Any]:
    """Show how far a long work is, on a terminal only; gives what to call at the beginning and for each part."""
    counted = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), counted, TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        yield (
            lambda total: progress.update(task, total=total, completed=0),
            lambda done: progress.advance(task, done),
        )


def _size(count: int) -> str:
    """Return a number of bytes as people read it."""
    size, units = float(count), iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    for larger in units:
        if size < 1000:  # the step between units
            break
        size, unit = size / 1000, larger
    return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
