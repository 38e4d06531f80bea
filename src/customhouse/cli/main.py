"""
The command `customhouse`: every verb, in the order in which a newcomer needs them.

Only the module of the verb that is asked for is loaded. A command is a new process each time, and so is every part of
the house; loading all verbs would cost each of them more than its own work.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

import typer
from msgspec import Struct


class _Verb(Struct, frozen=True):
    """One verb: where it stands, and whether it has verbs of its own."""

    name: str
    module: str
    function: str = ""
    """Empty when the module's `app` holds several verbs."""
    hidden: bool = False


VERBS = (
    _Verb("run", "run", "run"),
    _Verb("init", "setup", "init"),
    _Verb("check", "setup", "check"),
    _Verb("reload", "setup", "reload"),
    _Verb("demo", "demo", "demo"),
    _Verb("tail", "look", "tail"),
    _Verb("sql", "look", "sql"),
    _Verb("trace", "look", "trace"),
    _Verb("balance", "balance", "balance"),
    _Verb("quarantine", "quarantine"),
    _Verb("destinations", "destinations"),
    _Verb("alarms", "alarms"),
    _Verb("config", "config"),
    _Verb("sdk", "sdk"),
    _Verb("backup", "backup"),
    _Verb("restore", "backup", "restore"),
    _Verb("import", "import_", "import_"),
    _Verb("doctor", "doctor", "doctor"),
    _Verb("version", "version", "version"),
    _Verb("process", "run", "process", hidden=True),
)


def application(verbs: Sequence[_Verb] = VERBS) -> typer.Typer:
    """Return the command line with these verbs, all of them unless told otherwise."""
    app = typer.Typer(
        name="customhouse",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
        rich_markup_mode=None,
        help="Self-hosted event tracking in which every acknowledged event is accounted for.",
    )
    app.callback()(_together)
    for verb in verbs:
        module = import_module(f"customhouse.cli.{verb.module}")
        if verb.function:
            app.command(verb.name, hidden=verb.hidden)(getattr(module, verb.function))
        else:
            app.add_typer(module.app, name=verb.name)
    return app


def _together() -> None:
    """Self-hosted event tracking in which every acknowledged event is accounted for."""
    # With a callback a single verb is still said by its name.


def main() -> None:
    """Run the command line. Ctrl-C ends quietly with the usual code."""
    asked = [verb for verb in VERBS if sys.argv[1:2] == [verb.name]]
    try:
        application(asked or VERBS)()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
