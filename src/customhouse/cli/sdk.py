"""`customhouse sdk`: SDK files that the door serves itself, so that a page loads everything from its own site."""

import html
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from customhouse.app.configuration import Configuration, read
from customhouse.cli.output import as_json, errors_in_words, out, table, when
from customhouse.cli.place import HERE, JsonOption, WorkspaceOption, workspace
from customhouse.collector.front import files
from customhouse.collector.front.shelf import FOLDER

app = typer.Typer(no_args_is_help=True, help="Add, list and remove the SDK files that the door serves to pages.")
_RELOAD = "  next: customhouse reload, when the house runs"


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="The SDK's minified build: a .js, .mjs or .map file.")],
    name: Annotated[str, typer.Option("--name", help="Name to serve it by, instead of its own.")] = "",
    root: WorkspaceOption = HERE,
    as_json_: JsonOption = False,
) -> None:
    """Copy an SDK's file into the workspace and print the line with which a page loads it.

    Example: customhouse sdk add dist/analytics.min.js --name analytics.js
    """
    with errors_in_words():
        place = workspace(root)
        _, configuration, _ = read(place, {})
        kept = files.add(place.sdk, file, name or file.name, time.time_ns() // 1000)
    told = _told(kept, configuration)
    if as_json_:
        as_json(told)
        return
    out.print(Text(f"added {kept.name} as {kept.file}, {kept.size:,} bytes; the page loads it with", style="green"))
    out.print(Text(f"  {told['html']}"))
    out.print(_RELOAD)


@app.command("list")
def list_(root: WorkspaceOption = HERE, as_json_: JsonOption = False) -> None:
    """List the SDK files, oldest first, with the line with which a page loads each.

    Example: customhouse sdk list
    """
    with errors_in_words():
        place = workspace(root)
        _, configuration, _ = read(place, {})
        listed = files.manifest(place.sdk).files
    if as_json_:
        as_json([_told(kept, configuration) for kept in listed])
        return
    if not listed:
        out.print("there are no SDK files; add one with: customhouse sdk add FILE")
        return
    rows = [(kept.name, kept.file, kept.size, when(kept.added_at)) for kept in listed]
    table(("name", "file", "bytes", "added"), rows, right=("bytes",))
    out.print("\nthe page loads them with")
    for kept in listed:
        out.print(Text(f"  {_told(kept, configuration)['html']}"))


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="A plain name, for all files of it, or a name with a hash, for one.")],
    root: WorkspaceOption = HERE,
    as_json_: JsonOption = False,
) -> None:
    """Remove SDK files. Pages that still load them find nothing after the next reload.

    Example: customhouse sdk remove analytics.js
    """
    with errors_in_words():
        gone = files.remove(workspace(root).sdk, name)
    if as_json_:
        as_json({"removed": [kept.file for kept in gone]})
        return
    out.print(Text(f"removed {', '.join(kept.file for kept in gone)}", style="green"))
    out.print(_RELOAD)


def _told(kept: files.Kept, configuration: Configuration) -> dict[str, Any]:
    """Return what people and programs are told of a file, the line for the page among it."""
    listen = configuration.listen
    # Under a prefix the file is a part of the page's own site, whatever that is called.
    site = listen.prefixes[0] if listen.prefixes else f"http://{listen.host}:{listen.port}"
    source, integrity = f"{site}{FOLDER}{kept.file}", f"sha384-{kept.sha384}"
    line = f'<script src="{html.escape(source)}" integrity="{integrity}" crossorigin="anonymous"></script>'
    return {
        "name": kept.name,
        "file": kept.file,
        "size": kept.size,
        "added_at": kept.added_at,
        "src": source,
        "integrity": integrity,
        "html": line,
    }
