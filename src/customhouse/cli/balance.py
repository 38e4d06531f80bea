"""`customhouse balance`: the trial balance. Exit code 1 when anything is unaccounted for."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from customhouse.app.books import balance_of
from customhouse.cli.output import FAILED, as_json, errors_in_words, out, table
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, reading
from customhouse.ledger.balance import Balance
from customhouse.ledger.books import balances

By = Annotated[str, typer.Option("--by", help="Break down by `source`, `hour`, or `source,hour`.")]


def balance(root: WorkspaceOption = HERE, data: DataOption = "", by: By = "", as_json_: JsonOption = False) -> None:
    """Show every account of the books, what is in flight, and what is unaccounted for (which must be 0).

    Examples: customhouse balance  ·  customhouse balance --by source,hour --json
    """
    with errors_in_words(), reading(root, data) as open_:
        struck = balance_of(open_.log, open_.pipeline, open_.delivery)
        groups = _groups(struck, [word for word in by.split(",") if word in ("source", "hour")]) if by else []
    if as_json_:
        as_json(_document(struck, groups))
    else:
        _show(struck, groups)
    sys.exit(FAILED if struck.unaccounted else 0)


def _groups(struck: Balance, words: list[str]) -> list[dict[str, Any]]:
    """Return the accounts per source and/or hour."""
    grouped: dict[tuple[Any, ...], list[Any]] = {}
    for posting in struck.postings:
        key = tuple(posting.source if word == "source" else posting.hour for word in words)
        grouped.setdefault(key, []).append(posting)
    found = []
    for key, postings in sorted(grouped.items()):
        group: dict[str, Any] = dict(zip(words, key, strict=True))
        if "hour" in group:
            group["hour"] = datetime.fromtimestamp(int(group["hour"]) * 3600, UTC).isoformat()[:13] + "Z"
        found.append({**group, "accounts": {name: n for name, n in sorted(balances(postings).items()) if n}})
    return found


def _document(struck: Balance, groups: list[dict[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "acknowledged": struck.received,
        "accounts": {name: count for name, count in sorted(struck.accounts.items()) if count},
        "in_flight": {each.account: each.events for each in struck.waiting},
        "unaccounted": struck.unaccounted,
        "differences": [
            {"account": d.account, "books": d.books, "counted": d.counted, "meaning": d.meaning}
            for d in struck.differences
        ],
    }
    return {**document, "groups": groups} if groups else document


def _show(struck: Balance, groups: list[dict[str, Any]]) -> None:
    """Print the balance for people."""
    rows = [(name, count) for name, count in sorted(struck.accounts.items()) if count]
    table(["account", "events"], rows, title="Trial balance", right=["events"])
    out.print()
    table(
        ["in flight", "events"],
        [(each.account, each.events) for each in struck.waiting] or [("nothing", 0)],
        right=["events"],
    )
    for group in groups:
        out.print()
        title = " · ".join(str(group[word]) for word in ("source", "hour") if word in group)
        table(["account", "events"], list(group["accounts"].items()), title=title, right=["events"])
    out.print()
    for difference in struck.differences:
        out.print(
            Text(
                f"{difference.account}: books {difference.books:,}, counted {difference.counted:,} ({difference.meaning})"
            )
        )
    style = "bold red" if struck.unaccounted else "bold green"
    out.print(Text(f"acknowledged: {struck.received:,}   in flight: {struck.in_flight:,}"))
    out.print(Text(f"unaccounted: {struck.unaccounted:,}", style=style))
