"""`customhouse run`: everything at once, and a screen that says how to send the first event. `customhouse process`: one part."""

import gc
import os
import shutil
import sys
import webbrowser
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.text import Text

from customhouse.app.process import Announcement, Kind, Process
from customhouse.app.rules import newest
from customhouse.app.workspace import Accepted, Workspace
from customhouse.cli.output import FAILED, errors_in_words, out
from customhouse.cli.place import HERE, DataOption, WorkspaceOption, overrides, workspace
from customhouse.cli.supervise import Supervisor
from customhouse.model.errors import Misconfigured
from customhouse.settings import is_literal
from customhouse.telemetry.logs import Level, adopt_stdlib, open_log
from customhouse.telemetry.measure import Meter
from customhouse.testing.faults import from_environment

_SCREENS = {"DISPLAY", "WAYLAND_DISPLAY"}
"""Environment variables that say that somebody sits in front of this machine."""
LOG_LEVEL = "CUSTOMHOUSE_LOG_LEVEL"
LogLevel = Annotated[str, typer.Option("--log-level", envvar=LOG_LEVEL, help="debug, info, warning or error.")]


def run(
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    host: Annotated[
        str | None, typer.Option("--host", envvar="CUSTOMHOUSE_HOST", help="Address the door listens on.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", envvar="CUSTOMHOUSE_PORT", help="Port the door listens on; 0 for any.")
    ] = None,
    console_port: Annotated[
        int | None, typer.Option("--console-port", envvar="CUSTOMHOUSE_CONSOLE_PORT", help="Port of the console.")
    ] = None,
    open_: Annotated[
        bool,
        typer.Option("--open", envvar="CUSTOMHOUSE_OPEN", help="Open the console in the browser, if there is one."),
    ] = False,
    log_level: LogLevel = "warning",
) -> None:
    """Run the whole house: door, pipeline, delivery and console, until Ctrl-C or SIGTERM.

    Example: customhouse run --workspace examples/shop --port 8080
    """
    with errors_in_words():
        place = workspace(root, data)
        os.environ[LOG_LEVEL] = log_level  # the processes inherit it
        logger = open_log("supervisor", level=_level(log_level))
        supervisor = Supervisor(place, overrides(host, port, console_port), logger)
        supervisor.run(lambda version, said: _welcome(place, version, said, open_=open_))


def process(kind: Kind, root: WorkspaceOption = HERE, data: DataOption = "", log_level: LogLevel = "warning") -> None:
    """Run one part of the house by itself; `run` does this for you."""
    with errors_in_words():
        logger = open_log(kind, level=_level(log_level))
        adopt_stdlib(logger)
        running = Process(workspace(root, data), kind, logger, Meter(kind), from_environment(os.environ, kind))
        start = _part(kind)
        gc.collect()
        gc.freeze()
        try:
            start(running)
        except (Misconfigured, SystemExit):
            raise
        except Exception as error:  # noqa: BLE001  # a traceback would quote data; the log tells kind and lines only
            logger.failed("process.failed", error)
            raise SystemExit(FAILED) from None


def _part(kind: Kind) -> Callable[[Process], None]:
    """Import only the part that is wanted: the door has no need of a lake."""
    start: Callable[[Process], None] = import_module(f"customhouse.app.{kind}").run
    return start


def _level(word: str) -> Level:
    """Return a log level, or the usual one for a word that is none."""
    return next((level for level in get_args(Level) if level == word), "warning")


def _welcome(place: Workspace, version: Accepted, said: dict[str, Announcement], *, open_: bool) -> None:
    """Say that the house is open, and how to send the first event; show the console, if wanted and if there is a screen."""
    rules = newest(place)
    console = f"http://{rules.configuration.console.host}:{said['console'].port}"
    if open_ and sys.stdout.isatty() and (sys.platform == "darwin" or _SCREENS & set(os.environ)):
        webbrowser.open(f"{console}/live")
    host = rules.configuration.listen.host
    door = f"http://{host}:{said['collector'].port}"
    source, config = next(iter(rules.configuration.sources.items()))
    literal = is_literal(config.write_key)
    key = config.write_key[:] if literal else "YOUR_WRITE_KEY"
    screen = Text()
    screen.append(f"Customhouse is open for {rules.configuration.name}", style="bold green")
    screen.append(f"  (configuration {version.number}, plan release {version.plan_release})\n\n")
    screen.append(f"  ingest    {door}\n")
    screen.append(f"  console   {console}\n")
    screen.append(
        f"  write key {key}  (source {source})\n\n"
        if literal
        else f"  write key of source {source}: {config.write_key}\n\n"
    )
    screen.append("Send a first event:\n", style="bold")
    screen.append(
        f"""  curl -u {_typed(place, config.write_key)}: {door}/v1/track -H 'content-type: application/json' \\
    -d '{{"event":"Hello World","anonymousId":"me","properties":{{"from":"curl"}}}}'\n\n"""
    )
    screen.append("Or change one line where the Segment SDK is set up:\n", style="bold")
    screen.append(f"  analytics = Client('{key}', host='{door}')                  # Python\n")
    screen.append(f"  new Analytics({{ writeKey: '{key}', host: '{door}' }})        // Node\n\n")
    screen.append("Then look:\n", style="bold")
    there = "" if place.root == HERE.resolve() else f" -w {_from_here(place.root)}"
    for verb in ("demo", "tail", "trace <message id>", "balance", 'sql "select * from events"'):
        name, _, rest = verb.partition(" ")
        screen.append(f"  {_command()} {name}{there}{' ' + rest if rest else ''}\n")
    screen.append("\nCtrl-C closes the house; nothing that was acknowledged is lost.")
    out.print(screen)


def _typed(place: Workspace, written: str) -> str:
    """Return a write key as one types it in a shell here: itself, or where it stands."""
    if is_literal(written):
        return written[:]
    kind, _, where = written[:].partition(":")
    return f'"${where}"' if kind == "env" else f'"$(cat {_from_here(place.root / where)})"'


def _command() -> str:
    """Return what one types to run this program: its name, or its path from here when it is not on the search path."""
    if shutil.which("customhouse"):
        return "customhouse"
    program, here = Path(sys.argv[0]).absolute(), Path.cwd()
    return str(program.relative_to(here)) if program.is_relative_to(here) else str(program)


def _from_here(path: Path) -> str:
    """Return a path as one would type it here."""
    here = HERE.resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
