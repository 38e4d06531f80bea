"""How the command line speaks: tables for people, JSON for programs, colours only on a terminal, errors with the next step."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from customhouse.model.errors import Broken, Misconfigured, Unavailable

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

USAGE = 2
FAILED = 1


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn the house's three exceptions into words and an exit code; anything else is a bug and shows as one."""
    try:
        yield
    except Misconfigured as error:
        count = len(error.problems)
        err.print(Text(f"{count} problem{'s' if count > 1 else ''} found", style="bold red"))
        for problem in error.problems:
            err.print(Text(f"  {problem.place}", style="bold"))
            err.print(Text(f"    {problem.message}"))
            if problem.hint:
                err.print(Text(f"    → {problem.hint}", style="cyan"))
        sys.exit(USAGE)
    except Unavailable as error:
        err.print(Text(f"not available: {error}", style="bold yellow"))
        sys.exit(FAILED)
    except Broken as error:
        err.print(Text(f"broken: {error}", style="bold red"))
        err.print(Text("  → please report this, with `customhouse doctor --json`", style="cyan"))
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def fail(message: str, hint: str = "") -> None:
    """Say what is wrong and what to do, and end."""
    err.print(Text(message, style="bold red"))
    if hint:
        err.print(Text(f"  → {hint}", style="cyan"))
    sys.exit(FAILED)


def as_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "", right: Sequence[str] = ()) -> None:
    """Print a table for people; columns named in `right` are numbers."""
    grid = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row))
    out.print(grid)


def shown(value: Any) -> str:
    """Return a cell as people read it: thousands separated, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def when(us: int | None) -> str:
    """Return a time in UTC to the millisecond."""
    if us is None:
        return ""
    return (
        datetime.fromtimestamp(us / 1e6, UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00") + "Z"
    )
