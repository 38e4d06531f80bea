"""`customhouse config`: every configuration that was ever accepted, how they differ, and the way back to an older one."""

import sys
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from customhouse.app.upkeep.rollback import Prospect, obstacles, prospect, roll_back
from customhouse.app.windows.configs import Configs, shown, shown_as_yaml
from customhouse.app.windows.differences import Difference
from customhouse.app.workspace import Workspace
from customhouse.cli.output import as_json, err, errors_in_words, out, table, when
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, workspace
from customhouse.cli.supervise import closed
from customhouse.model.errors import Misconfigured, Problem
from customhouse.state.jobs import Jobs

app = typer.Typer(no_args_is_help=True, help="List, show, compare and bring back accepted configurations.")
_ASK_SECONDS = 30.0
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}

Number = Annotated[int | None, typer.Argument(min=1, help="A version's number, as `log` shows it.", show_default=False)]


@app.command()
def log(
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")] = 20,
    before: Annotated[int, typer.Option("--before", min=0, help="Only versions below this number.")] = 0,
    as_json_: JsonOption = False,
) -> None:
    """List accepted configurations, newest first: number, plan release, when, and what changed.

    Example: customhouse config log --limit 50
    """
    with errors_in_words():
        configs = Configs(workspace(root, data))
        configs.version()
        found = configs.log(limit, before=before)
        if as_json_:
            as_json([msgspec.to_builtins(each) for each in found])
            return
        rows = [
            (f"{v.number}{' *' if v.in_force else ''}", v.plan_release, when(v.accepted_at), v.changed) for v in found
        ]
        table(["version", "plan", "accepted", "what changed"], rows, right=["plan"])
        if found and found[-1].number > 1 and len(found) == limit:
            out.print(f"… older ones: customhouse config log --before {found[-1].number}")
        out.print("* in force")


@app.command()
def show(
    number: Number = None, root: WorkspaceOption = HERE, data: DataOption = "", as_json_: JsonOption = False
) -> None:
    """Show one version, or the one in force. Secrets stay references; one that stands there itself is masked.

    Example: customhouse config show 3
    """
    with errors_in_words():
        version = Configs(workspace(root, data)).version(number or 0)
        if as_json_:
            as_json(shown(version))
            return
        said = f"# version {version.number}, plan release {version.plan_release}, accepted {when(version.accepted_at)}"
        out.print(Text(said, style="cyan"))
        out.print(Text(shown_as_yaml(version).rstrip()))
        names = [
            f"{e.get('event') or e.get('type', 'track')} {e.get('version', '')}" for e in version.plan.get("events", [])
        ]
        out.print(Text(f"# plan: {', '.join(names) or 'no events'}", style="cyan"))


@app.command()
def diff(
    before: Annotated[
        int | None, typer.Argument(min=1, help="A version; the one in force by default.", show_default=False)
    ] = None,
    after: Annotated[
        int | None, typer.Argument(min=1, help="Another; the files on disk by default.", show_default=False)
    ] = None,
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 when they differ.")] = False,
    as_json_: JsonOption = False,
) -> None:
    """Show how two versions differ, or a version and the files on disk as they would be loaded.

    Example, what a reload would change: customhouse config diff

    Example, two versions: customhouse config diff 3 5
    """
    with errors_in_words():
        configs = Configs(workspace(root, data))
        if before is not None and after is not None:
            found, problems, only = configs.compare(before, after), [], []
        else:
            disk = configs.disk(base=before or 0)
            if disk.difference is None:
                raise Misconfigured(disk.problems)
            found, problems, only = disk.difference, disk.problems, disk.only_text
        if as_json_:
            as_json({**_plain(found), "problems": [msgspec.to_builtins(p) for p in problems], "only_text": only})
        else:
            _say_difference(found, only)
            for problem in problems:
                err.print(Text(f"  {problem.place}: {problem.message}", style="red"))
                err.print(Text(f"    → {problem.hint or 'see `customhouse check`'}", style="cyan"))
    sys.exit(1 if exit_code and not found.same else 0)


@app.command()
def rollback(
    number: Annotated[int, typer.Argument(min=1, help="The version to bring back, as `log` shows it.")],
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    force: Annotated[bool, typer.Option("--force", help="Give up changes on disk that were never loaded.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    as_json_: JsonOption = False,
) -> None:
    """Put an older version in force under a new number, without losing an event, and write your files back to it.

    Example: customhouse config rollback 3 --dry-run
    """
    with errors_in_words():
        place = workspace(root, data)
        found = prospect(place, number)
        configs = Configs(place)
        difference = configs.compare(found.in_force, number)
        against = obstacles(place, number, force=force)
        if dry_run:
            against += configs.obstacles(number)
            _say_prospect(found, difference, against, as_json_)
            sys.exit(2 if against else 0)
        if against:
            raise Misconfigured(against)
        if found.same and not found.write and not found.remove:
            _say_done(
                {"config": found.in_force, "rolled_back_to": number}, "is in force already; nothing to do", as_json_
            )
            return
        if not yes:
            if as_json_:
                raise Misconfigured([Problem("--json", "asks nobody", "add --yes, or look with --dry-run")])
            _say_prospect(found, difference, [], as_json_=False)
            typer.confirm(f"Put version {number} in force and write these files?", abort=True, err=True)
        _carry_out(place, found, force, as_json_)


def _carry_out(place: Workspace, found: Prospect, force: bool, as_json_: bool) -> None:
    """Have the supervisor do it; where none runs, do it here and keep the house closed meanwhile."""
    with closed(place) as alone:
        if alone:
            done = roll_back(place, found.to, {}, seen=found.seen, force=force)
            details = {"rolled_back_to": found.to, "written": len(done.write), "removed": len(done.remove)}
            _say_done(details, "takes effect at the next `customhouse run`", as_json_)
            return
    arguments = {"number": found.to, "seen": found.seen, "force": force}
    answer = Jobs(place.jobs("supervisor")).ask("rollback", arguments, timeout=_ASK_SECONDS)
    if not answer.ok:
        err.print(Text(answer.message, style="bold red"))
        problems = [Problem(**each) for each in answer.details.get("problems", [])]
        raise Misconfigured(
            problems or [Problem(f"version {found.to}", answer.message, "see `customhouse config log`")]
        )
    number = answer.details["config"]
    _say_done(answer.details, f"is in force again, as configuration {number}", as_json_)


def _say_done(details: dict[str, Any], words: str, as_json_: bool) -> None:
    if as_json_:
        as_json({"ok": True, "message": words, **details})
        return
    out.print(f"version {details['rolled_back_to']} {words}")
    if "written" in details:
        out.print(f"  files written: {details['written']}, removed: {details['removed']}")


def _say_prospect(found: Prospect, difference: Difference, against: list[Problem], as_json_: bool) -> None:
    if as_json_:
        problems = [msgspec.to_builtins(problem) for problem in against]
        as_json({**msgspec.to_builtins(found), **_plain(difference), "problems": problems})
        return
    _say_difference(difference, [])
    for word, names in (("would write", found.write), ("would remove", found.remove), ("would lose", found.unsaved)):
        for name in names:
            out.print(Text(f"{word}  {name}", style="red" if word == "would lose" else ""))
    if found.comments_lost:
        err.print(Text(f"version {found.to} is from before comments were kept: its files have none", style="yellow"))
    if against:
        err.print(Text("it would be refused:", style="bold red"))
    for problem in against:
        err.print(Text(f"  {problem.place}: {problem.message}", style="red"))
        err.print(Text(f"    → {problem.hint}", style="cyan"))


def _say_difference(found: Difference, only: list[str]) -> None:
    if found.same:
        out.print(f"{found.before} and {found.after} say the same")
    for line in found.text:
        heading = line.startswith(("---", "+++"))
        out.print(Text(line, style="bold" if heading else _COLOURS.get(line[:1], "")))
    for name in only:
        out.print(f"only comments or layout differ: {name}")


def _plain(found: Difference) -> dict[str, Any]:
    return {
        "before": found.before,
        "after": found.after,
        "same": found.same,
        "changes": msgspec.to_builtins(found.changes),
    }
