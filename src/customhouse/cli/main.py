"""The command `customhouse`: every verb, in the order in which a newcomer needs them."""

import sys

import typer

from customhouse.cli import (
    alarms,
    backup,
    balance,
    config,
    demo,
    destinations,
    doctor,
    import_,
    look,
    quarantine,
    run,
    sdk,
    setup,
)

app = typer.Typer(
    name="customhouse",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
    help="Self-hosted event tracking in which every acknowledged event is accounted for.",
)
app.command()(run.run)
app.command()(setup.init)
app.command()(setup.check)
app.command()(setup.reload)
app.command()(demo.demo)
app.command()(look.tail)
app.command()(look.sql)
app.command()(look.trace)
app.command()(balance.balance)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(destinations.app, name="destinations")
app.add_typer(alarms.app, name="alarms")
app.add_typer(config.app, name="config")
app.add_typer(sdk.app, name="sdk")
app.add_typer(backup.app, name="backup")
app.command()(backup.restore)
app.command("import")(import_.import_)
app.command()(doctor.doctor)
app.command()(doctor.version)
app.command(hidden=True)(run.process)


def main() -> None:
    """Run the command line. Ctrl-C ends quietly with the usual code."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
