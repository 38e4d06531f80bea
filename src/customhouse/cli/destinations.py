"""`customhouse destinations`: how each destination fares, and a hand on the lever: pause, resume."""

import sys
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from customhouse.alarms.words import size, span
from customhouse.app.rules import newest
from customhouse.app.windows import destinations as shared
from customhouse.app.windows.window import Window
from customhouse.app.workspace import Workspace
from customhouse.cli.output import FAILED, as_json, errors_in_words, fail, out, table, when
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, reading
from customhouse.model.standing import DestinationState

app = typer.Typer(no_args_is_help=True, help="Show how destinations fare; pause and resume them.")
_COLOURS = {"good": "green", "wait": "yellow", "bad": "red"}

Name = Annotated[str, typer.Argument(help="The destination, as customhouse.yaml names it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_(
    name: Annotated[str, typer.Argument(help="Only this destination, with its last answers.")] = "",
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    as_json_: JsonOption = False,
) -> None:
    """Show lag, rate, share of success, breaker, last answers, and why nothing is sent where nothing is.

    Examples: customhouse destinations list  ·  customhouse destinations list crm
    """
    with errors_in_words():
        _, found = _look(root, data)
        chosen = [_named(found, name)] if name else found
    if as_json_:
        as_json([msgspec.to_builtins(each) for each in chosen])
    elif name:
        _tell(chosen[0])
    else:
        _show(chosen)


@app.command()
def pause(
    name: Name, root: WorkspaceOption = HERE, data: DataOption = "", yes: Yes = False, as_json_: JsonOption = False
) -> None:
    """Send nothing to a destination until it is resumed, also after a restart. Its events wait; none is lost.

    Example: customhouse destinations pause crm
    """
    with errors_in_words():
        place, found = _look(root, data)
        state = _named(found, name)
        if not yes and sys.stdin.isatty():
            typer.confirm(f"{shared.effect_of_pause(state)} Go on?", abort=True, err=True)
        answer = shared.pause(place, name, "command line")
    if not answer.ok:
        fail(answer.message, "see which there are: customhouse destinations list")
    if as_json_:
        as_json({"paused": name, "waiting": state.lag_events})
    else:
        out.print(Text(f"{name} is paused; go on with: customhouse destinations resume {name}"))


@app.command()
def resume(name: Name, root: WorkspaceOption = HERE, data: DataOption = "", as_json_: JsonOption = False) -> None:
    """Go on sending at once: after a pause, or instead of waiting for the next try.

    Example: customhouse destinations resume crm
    """
    with errors_in_words():
        place, found = _look(root, data)
        state = _named(found, name)
        answer = shared.resume(place, name, "command line")
    if not answer.ok:
        fail(answer.message, "see which there are: customhouse destinations list")
    if as_json_:
        as_json({"resumed": name, "waiting": state.lag_events})
    else:
        out.print(Text(f"{name} goes on; {shared.effect_of_resume(state)}"))


def _look(root: WorkspaceOption, data: str) -> tuple[Workspace, list[DestinationState]]:
    """Return the workspace and how its destinations fare. Raises Misconfigured, Unavailable."""
    with reading(root, data) as open_:
        window = Window(open_.workspace)
        try:
            return open_.workspace, shared.destinations(
                open_.workspace, newest(open_.workspace).configuration, window.seen()
            )
        finally:
            window.close()


def _named(found: list[DestinationState], name: str) -> DestinationState:
    """Return one destination by name, or end in words."""
    for each in found:
        if each.name == name:
            return each
    fail(f"there is no destination {name!r}", f"there are: {', '.join(each.name for each in found) or 'none'}")
    sys.exit(FAILED)


def _show(found: list[DestinationState]) -> None:
    """Print the table."""
    rows = [
        (
            each.name,
            Text(each.state, style=_COLOURS[each.tone]),
            each.lag_events,
            "" if each.oldest_seconds is None else span(each.oldest_seconds),
            "" if each.rate is None else f"{each.rate:,.1f}",
            "" if each.success is None else f"{each.success:.1%}",
            each.rejected,
            each.last_answer,
        )
        for each in found
    ]
    columns = ["name", "state", "waiting", "oldest", "events/s", "success", "refused", "last answer"]
    table(columns, rows, right=["waiting", "oldest", "events/s", "success", "refused"])
    for each in found:
        if each.state != "running":
            out.print(Text(f"{each.name}: {each.words}"))


def _tell(one: DestinationState) -> None:
    """Print one destination whole."""
    out.print(Text(f"{one.name}  {one.state}", style="bold"))
    out.print(Text(one.words))
    facts = [
        ("kind", one.kind), ("leads to", one.where), ("since", when(one.state_since)),
        ("delivered", one.delivered), ("refused, in quarantine", one.rejected), ("expired", one.expired),
        ("in retry by themselves", one.retrying), ("breaker", one.breaker), ("failures in a row", one.failures),
        ("paused since", f"{when(one.paused_at)} by the {one.paused_by}" if one.paused_at else ""),
        ("budget used", "" if one.budget_used is None else f"{one.budget_used:.0%}"),
        ("log kept for it", f"up to {size(one.held_bytes)}" if one.held_bytes else ""),
    ]  # fmt: skip
    table(["", ""], [row for row in facts if row[1] not in ("", None)])
    out.print()
    rows = [(each.status or "", each.reason, each.count, when(each.last_at), each.meaning) for each in one.answers]
    table(["status", "answer", "times", "last", "meaning"], rows, right=["times"], title="Last answers")
