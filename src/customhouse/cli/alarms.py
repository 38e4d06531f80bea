"""`customhouse alarms`: what stands now, and whether somebody would hear of it."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from customhouse.alarms.notice import moment
from customhouse.app.configuration import read
from customhouse.cli.output import FAILED, as_json, errors_in_words, fail, out, table
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, workspace

if TYPE_CHECKING:
    from customhouse.app.windows.alarms import Kept

app = typer.Typer(no_args_is_help=True, help="Show standing alarms; try the webhook they are told through.")
_STYLES = {"critical": "bold red", "warning": "yellow"}
_EXAMPLE = "add to customhouse.yaml:  alarms: {webhook: {url: 'env:ALARM_URL'}}"


@app.command("list")
def list_(root: WorkspaceOption = HERE, data: DataOption = "", as_json_: JsonOption = False) -> None:
    """Show the alarms that stand: since when, in numbers, and what to do.

    Example: customhouse alarms list --json
    """
    from customhouse.app.windows.alarms import kept  # brings the sender of posts, which no other command needs

    with errors_in_words():
        state = kept(workspace(root, data))
    if as_json_:
        as_json(_document(state))
        return
    if not state.watching:
        last = f"last at {moment(state.at)}" if state.at else "never"
        out.print(Text(f"nobody is watching (the house was looked at {last})", style="yellow"))
        out.print(Text("  → customhouse run; then customhouse doctor", style="cyan"))
    rows = [
        (Text(a.severity, style=_STYLES[a.severity]), a.name, a.subject, moment(a.since), a.told)
        for a in state.board.standing()
    ]
    if rows:
        table(["severity", "alarm", "subject", "since", "what"], rows)
        for alarm in state.board.standing():
            out.print(Text(f"  → {alarm.name} {alarm.subject}: {alarm.mend}", style="cyan"))
    elif state.watching:
        out.print(Text("no alarm stands", style="green"))
    _webhook(state)


@app.command("test")
def try_(root: WorkspaceOption = HERE, data: DataOption = "", as_json_: JsonOption = False) -> None:
    """Send a test to the webhook as customhouse.yaml names it now, and say what it answered. Exit 1 when it failed.

    Example: customhouse alarms test
    """
    from customhouse.app.windows.alarms import try_webhook  # as above
    from customhouse.app.windows.alarms.post import Target

    with errors_in_words():
        place = workspace(root, data)
        _, configuration, _ = read(place, {})
        webhook = configuration.alarms.webhook
        if webhook is None:
            if as_json_:
                as_json({"ok": False, "told": "there is no webhook"})
                sys.exit(FAILED)
            fail("there is no webhook for alarms; they show here, in the console and in /metrics", _EXAMPLE)
            return
        outcome = asyncio.run(try_webhook(Target(configuration.name, place.root, webhook), webhook))
    if as_json_:
        as_json({"ok": outcome.ok, "told": outcome.told})
        sys.exit(0 if outcome.ok else FAILED)
    if not outcome.ok:
        fail(
            f"the webhook did not take the test: {outcome.told}",
            "mend alarms.webhook in customhouse.yaml, and test again",
        )
    out.print(Text(f"the webhook took the test: {outcome.told}", style="green"))


def _document(state: "Kept") -> dict[str, Any]:
    post = state.post
    return {
        "watching": state.watching,
        "looked_at": moment(state.at) if state.at else None,
        "alarms": [
            {
                "alarm": alarm.name,
                "subject": alarm.subject,
                "severity": alarm.severity,
                "since": moment(alarm.since),
                "message": alarm.told,
                "mend": alarm.mend,
            }
            for alarm in state.board.standing()
        ],
        "webhook": {
            "configured": post.configured,
            "waiting": len(state.waiting),
            "failures": post.failures,
            "told": post.told,
            "told_at": moment(post.told_at) if post.told_at else None,
            "dropped": post.dropped,
        },
    }


def _webhook(state: "Kept") -> None:
    """Say how the webhook fares."""
    post = state.post
    if not post.configured:
        out.print(Text(f"alarms are posted nowhere; {_EXAMPLE}"))
    elif post.failures:
        words = f"the webhook failed {post.failures:,} times in a row: {post.told}; {len(state.waiting):,} notices wait"
        out.print(Text(words, style="yellow"))
        out.print(Text("  → customhouse alarms test", style="cyan"))
    elif post.told_at:
        out.print(Text(f"the webhook took the last notice at {moment(post.told_at)}: {post.told}"))
    else:
        out.print(Text("the webhook has not been needed yet; try it with: customhouse alarms test"))
