"""`doctor` looks at the machine and the workspace and says what to mend, with the command that does; `version` says what this is."""

import sys
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from customhouse.app.windows.inspection import Finding, inspect
from customhouse.cli.output import FAILED, as_json, errors_in_words, out
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, workspace

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}
_WIDTH = 18


def doctor(
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    offline: Annotated[bool, typer.Option("--offline", help="Knock at no destination.")] = False,
    as_json_: JsonOption = False,
) -> None:
    """Look at machine, disk, clock, ports, permissions, destinations, configuration and the running house.

    Sends no event and changes nothing. Exit 1 when something must be mended; each finding says how.
    Example: customhouse doctor --workspace examples/shop
    """
    with errors_in_words():
        findings = inspect(workspace(root, data), offline=offline)
    if as_json_:
        as_json([msgspec.to_builtins(finding) for finding in findings])
    else:
        _show(findings)
    sys.exit(FAILED if any(finding.verdict == "problem" for finding in findings) else 0)


def _show(findings: list[Finding]) -> None:
    """Print one line for each, the command that mends it below, and a sentence at the end."""
    for finding in findings:
        mark, colour = _MARKS[finding.verdict]
        line = Text(mark, style=colour)
        line.append(f" {finding.name:{_WIDTH}} {finding.told}", style="default")
        out.print(line)
        if finding.mend:
            out.print(Text(f"{'':{_WIDTH + 3}}→ {finding.mend}", style="cyan"))
    problems = sum(finding.verdict == "problem" for finding in findings)
    doubts = sum(finding.verdict == "warning" for finding in findings)
    out.print()
    if problems:
        out.print(Text(f"{problems} to be mended, {doubts} to be looked at", style="bold red"))
    else:
        out.print(Text(f"nothing must be mended; {doubts} to be looked at", style="bold green"))
