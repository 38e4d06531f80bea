"""Setting up: `init` makes a workspace, `check` reads one without starting anything, `reload` puts a changed one in force."""

import secrets
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from customhouse.app.configuration import read, warnings
from customhouse.app.workspace import CONFIG_FILE
from customhouse.cli.output import as_json, err, errors_in_words, fail, out
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, workspace
from customhouse.model.errors import Misconfigured, Problem
from customhouse.state.jobs import Jobs

_CONFIG = """\
# Customhouse workspace. All settings: docs/reference/configuration.md; check with `customhouse check`.
format: 1
name: {name}

sources:
  web:
    # Made by `customhouse init`; keep the file out of version control.
    write_key: file:secrets/web.key

destinations:
  lake:
    type: lake

routes:
  - to: lake

plan:
  unknown_events: annotate   # allow | annotate | quarantine
  on_violation: quarantine   # annotate | quarantine
"""
_EVENT = """\
# One file per event: the contract between who sends it and who relies on it.
event: Signed Up
version: 1.0.0
owner: {name}
description: Somebody made an account.
requires: [user_id]
properties:
  plan:
    type: string
    description: The plan chosen at sign-up.
required: []
"""


def init(folder: Annotated[Path, typer.Argument(help="Where to make the workspace.")] = HERE) -> None:
    """Make a workspace: configuration, an example event, and a fresh write key.

    Example: customhouse init my-shop && customhouse run --workspace my-shop
    """
    name = folder.resolve().name
    key = secrets.token_urlsafe(24)
    files = {
        folder / CONFIG_FILE: _CONFIG.format(name=name),
        folder / "plan" / "signed_up.yaml": _EVENT.format(name=name),
        folder / "secrets" / "web.key": key + "\n",
        folder / ".gitignore": ".data/\nsecrets/\n",
    }
    there = [str(path) for path in files if path.exists()]
    if there:
        fail(f"{', '.join(there)} exists already; nothing was written", "choose an empty folder")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "secrets" / "web.key").chmod(0o600)
    out.print(f"made a workspace in {folder}")
    out.print(f"  the write key of source web stands in {folder / 'secrets' / 'web.key'}")
    out.print(f"  next: customhouse run --workspace {folder}")


def check(root: WorkspaceOption = HERE, data: DataOption = "", as_json_: JsonOption = False) -> None:
    """Read configuration and plan and report every problem at once. Starts nothing, changes nothing.

    Exit code 0 when all is well, 2 when it could not run as it is.
    """
    try:
        with nullcontext() if as_json_ else errors_in_words():
            place = workspace(root, data)
            _, configuration, plan = read(place, {})
            doubts = warnings(configuration)
    except Misconfigured as error:
        as_json({"ok": False, "problems": [_problem(p) for p in error.problems], "warnings": []})
        sys.exit(2)
    if as_json_:
        as_json({"ok": True, "problems": [], "warnings": [_problem(p) for p in doubts]})
        return
    for doubt in doubts:
        err.print(Text(f"  {doubt.place}: {doubt.message}", style="yellow"))
        err.print(Text(f"    → {doubt.hint}", style="cyan"))
    sources, destinations = len(configuration.sources), len(configuration.destinations)
    out.print(
        Text(
            f"ok: {sources} source(s), {destinations} destination(s), {len(plan.events)} planned event(s)",
            style="green",
        )
    )


def reload(root: WorkspaceOption = HERE, data: DataOption = "", as_json_: JsonOption = False) -> None:
    """Put a changed configuration or plan in force, without losing an event. A bad one is refused and the old one stays."""
    with errors_in_words():
        place = workspace(root, data)
        read(place, {})
        answer = Jobs(place.jobs("supervisor")).ask("reload", {}, timeout=15.0)
        if as_json_:
            as_json({"ok": answer.ok, "message": answer.message, **answer.details})
            sys.exit(0 if answer.ok else 2)
        if not answer.ok:
            raise Misconfigured([Problem(**each) for each in answer.details.get("problems", [])])
        config, release = answer.details["config"], answer.details["plan_release"]
        out.print(f"{answer.message}: configuration {config}, plan release {release}")


def _problem(problem: Problem) -> dict[str, str]:
    return {"place": problem.place, "message": problem.message, "hint": problem.hint}
