"""Which workspace a command is about, and how its books and logs are opened for reading."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import Struct

from customhouse.app.upkeep.formats import refuse
from customhouse.app.workspace import CONFIG_FILE, Workspace, accepted, locate
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.errors import Misconfigured, Problem
from customhouse.settings import load_yaml
from customhouse.state.embedded import EmbeddedState

WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace",
        "-w",
        envvar="CUSTOMHOUSE_WORKSPACE",
        help="Folder that holds customhouse.yaml.",
        show_default=True,
    ),
]
DataOption = Annotated[
    str, typer.Option("--data", envvar="CUSTOMHOUSE_DATA", help="Data folder, instead of the configured one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
HERE = Path()


def workspace(root: Path, data: str = "") -> Workspace:
    """Return the workspace in a folder. Raises Misconfigured when there is none."""
    path = root / CONFIG_FILE
    if not path.exists():
        hint = "go to your workspace, name it with --workspace, or make one with `customhouse init FOLDER`"
        raise Misconfigured([Problem(str(path), "there is no such file", hint)])
    said, _ = load_yaml(path)
    configured = said.get("data", ".data") if isinstance(said, dict) else ".data"
    environment = {"CUSTOMHOUSE_DATA": data} if data else os.environ
    return locate(root, configured if isinstance(configured, str) else ".data", environment)


def overrides(host: str | None, port: int | None, console_port: int | None) -> dict[str, Any]:
    """Return what flags and environment put above the file, by its path in it."""
    said = {"listen.host": host, "listen.port": port, "console.port": console_port}
    return {path: value for path, value in said.items() if value is not None}


class Reading(Struct):
    """Logs and books, opened for reading only; the processes may run or not."""

    workspace: Workspace
    log: EmbeddedLog
    pipeline: EmbeddedState
    delivery: EmbeddedState


@contextmanager
def reading(root: Path, data: str) -> Iterator[Reading]:
    """Open everything a window may look at. Raises Misconfigured when nothing has ever run here."""
    place = workspace(root, data)
    refuse(place)
    if accepted(place) is None:
        hint = "start it with `customhouse run`"
        raise Misconfigured([Problem(str(place.data), "nothing has run in this workspace yet", hint)])
    log = EmbeddedLog(place.log)
    pipeline = EmbeddedState(place.state("pipeline"), readonly=True)
    delivery = EmbeddedState(place.state("delivery"), readonly=True)
    try:
        yield Reading(place, log, pipeline, delivery)
    finally:
        delivery.close()
        pipeline.close()
        log.close()
