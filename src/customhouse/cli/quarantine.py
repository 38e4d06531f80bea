"""`customhouse quarantine`: what is held back, why, and how it gets out again."""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import Progress

from customhouse.app.windows.quarantine.acts import PIECE, Mend, Sums, carry_out, foresee
from customhouse.app.windows.quarantine.entries import Entry, Holders, entries, named, shown, whole
from customhouse.app.windows.quarantine.groups import Groups
from customhouse.cli.output import as_json, err, errors_in_words, fail, out, table, when
from customhouse.cli.place import HERE, DataOption, JsonOption, Reading, WorkspaceOption, reading
from customhouse.console.pages.quarantine_data import Fits, Foreseen, Group
from customhouse.ledger.books import balances, flows
from customhouse.model.reasons import REASONS
from customhouse.pipeline.quarantine import MOST_EVENTS

app = typer.Typer(no_args_is_help=True, help="Group, list, show, replay and discard events that are held back.")

Ids = Annotated[list[str] | None, typer.Argument(help="Event ids, as `list` shows them.")]
Everything = Annotated[
    bool, typer.Option("--all", help="Everything that --reason, --event, --source and --destination leave.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Only this reason.")]
EventOption = Annotated[str, typer.Option("--event", help="Only events of this name, or type where they have none.")]
SourceOption = Annotated[str, typer.Option("--source", help="Only what this source sent.")]
DestinationOption = Annotated[str, typer.Option("--destination", help="Only what this destination refused.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen; nothing changes.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")]


@app.command()
def groups(
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    reason: ReasonOption = "",
    event: EventOption = "",
    source: SourceOption = "",
    destination: DestinationOption = "",
    as_json_: JsonOption = False,
) -> None:
    """Count what is held back by reason, event and destination, and say what to do.

    With --json also since when, by which libraries and plan releases, and one example of each.

    Example: customhouse quarantine groups --source web
    """
    with errors_in_words(), reading(root, data) as open_:
        counting = Groups(open_.workspace, lambda _error: None)
        counting.count(_holders(open_))
        found = counting.as_counted(Fits(reason, event, source, destination)).groups
    if as_json_:
        as_json([{"meaning": _meaning(group.reason), **msgspec.to_builtins(group)} for group in found])
        return
    if not found:
        out.print("nothing is in quarantine" if not (reason or event or source or destination) else "nothing fits")
        return
    table(
        ["events", "reason", "event", "last seen", "sources"],
        [(g.count, g.reason, _called(g), when(g.last), ", ".join(g.sources)) for g in found],
        right=["events"],
    )
    out.print()
    table(["reason", "meaning", "what to do"], [(word, _meaning(word), _remedy(word)) for word in _words(found)])


@app.command("list")
def list_(
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    reason: ReasonOption = "",
    event: EventOption = "",
    source: SourceOption = "",
    destination: DestinationOption = "",
    limit: Limit = 50,
    as_json_: JsonOption = False,
) -> None:
    """List what is held back, newest first, with a count per reason.

    Example: customhouse quarantine list --reason schema_violation
    """
    with errors_in_words(), reading(root, data) as open_:
        found = list(islice(entries(_holders(open_), Fits(reason, event, source, destination)), limit))
        held_back = _held_back(open_)
    if as_json_:
        as_json([msgspec.to_builtins(entry) for entry in found])
        return
    if not held_back:
        out.print("nothing is in quarantine")
        return
    table(["account", "events", "meaning"], held_back, right=["events"])
    out.print()
    table(
        ["id", "received", "source", "event", "reason", "detail"],
        [(e.ref, when(e.at), e.source, e.label, e.reason, e.detail) for e in found],
    )
    if len(found) == limit:
        out.print(f"… the newest {limit:,}; see --limit, --reason, --event, or `customhouse quarantine groups`")


@app.command()
def show(event_id: str, root: WorkspaceOption = HERE, data: DataOption = "") -> None:
    """Show one event whole: the client's own bytes, the reason, and what to do. Always JSON."""
    with errors_in_words(), reading(root, data) as open_:
        found = [shown(one) for one in whole(_holders(open_), [event_id])]
        if found:
            as_json(found[0] if len(found) == 1 else found)
            return
    fail(f"{event_id} is not in quarantine", f"see where it is: customhouse trace {event_id}")


@app.command()
def replay(
    ids: Ids = None,
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    everything: Everything = False,
    reason: ReasonOption = "",
    event: EventOption = "",
    source: SourceOption = "",
    destination: DestinationOption = "",
    repaired: Annotated[
        Path | None, typer.Option("--with", help="JSON file that takes the place of the one event's own bytes.")
    ] = None,
    dry_run: DryRun = False,
    as_json_: JsonOption = False,
) -> None:
    """Send events down the road again, under the plan and configuration of now.

    Examples: customhouse quarantine replay 0198c3…  --with repaired.json
              customhouse quarantine replay --all --reason schema_violation --dry-run
    """
    with errors_in_words(), reading(root, data) as open_:
        mend = _repaired(repaired, ids)
        chosen = _chosen(open_, ids, everything, Fits(reason, event, source, destination))
        if dry_run:
            _foretell(open_, "replay", chosen, mend, as_json_)
            return
        _say(_ask(open_, "replay", chosen, mend), as_json_)


@app.command()
def discard(
    ids: Ids = None,
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    everything: Everything = False,
    reason: ReasonOption = "",
    event: EventOption = "",
    source: SourceOption = "",
    destination: DestinationOption = "",
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json_: JsonOption = False,
) -> None:
    """End events for good. They stay in the trail and in the books (`dropped:discarded`); their content goes with the log's retention."""
    with errors_in_words(), reading(root, data) as open_:
        chosen = _chosen(open_, ids, everything, Fits(reason, event, source, destination))
        if dry_run:
            _foretell(open_, "discard", chosen, None, as_json_)
            return
        if chosen and not yes:
            typer.confirm(f"{len(chosen):,} events end for good; this cannot be undone. Go on?", abort=True, err=True)
        _say(_ask(open_, "discard", chosen, None), as_json_)


def _holders(open_: Reading) -> Holders:
    return Holders(open_.workspace, open_.pipeline, open_.delivery)


def _held_back(open_: Reading) -> list[tuple[str, int, str]]:
    """Return what the books say is held back: account, events, what the reason means."""
    rows = []
    for account, count in sorted(balances(flows(open_.pipeline, open_.delivery)).items()):
        kind, _, word = account.partition(":")
        if count and kind in ("quarantined", "rejected"):
            rows.append((account, count, _meaning(word) or "Refused by this destination."))
    return rows


def _meaning(word: str) -> str:
    return REASONS[word].meaning if word in REASONS else ""


def _called(group: Group) -> str:
    return f"{group.event} (refused by {group.destination})" if group.destination else group.event


def _remedy(word: str) -> str:
    return REASONS[word].remedy if word in REASONS else ""


def _words(found: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(group.reason for group in found))


def _repaired(path: Path | None, ids: list[str] | None) -> Mend | None:
    if path is None:
        return None
    if len(ids or []) != 1:
        fail("--with repairs one event", "name exactly one event id")
    text = b""
    try:
        text = path.read_bytes()
        msgspec.json.decode(text, type=dict[str, Any])
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}", "look at its name and its permissions")
    except (msgspec.MsgspecError, ValueError) as error:
        fail(f"{path} is not a JSON object: {error}", "take `original` of `customhouse quarantine show ID` and mend it")
    return lambda _one: text


def _chosen(open_: Reading, ids: list[str] | None, everything: bool, fits: Fits) -> list[Entry]:
    """Return the events a command is about."""
    if bool(ids) == everything:
        fail("name event ids, or --all", "see them with `customhouse quarantine list`")
    return list(entries(_holders(open_), fits)) if everything else named(_holders(open_), ids or [])


def _ask(open_: Reading, verb: str, chosen: list[Entry], mend: Mend | None) -> dict[str, Any]:
    """Have the owners carry it out, piece by piece, with a progress bar where somebody looks."""
    sums = Sums()
    with Progress(console=err, transient=True, disable=not sys.stderr.isatty() or len(chosen) < PIECE) as progress:
        task = progress.add_task(verb, total=len(chosen))
        for sums in _steps(open_, verb, chosen, mend):
            progress.update(task, completed=sums.asked)
    past = {"replay": "replayed", "discard": "discarded"}[verb]
    more = {"not_done": sums.missing} if sums.missing else {}
    return {past: sums.done, **({"quarantined_again": sums.again} if verb == "replay" else {}), **more}


def _steps(open_: Reading, verb: str, chosen: list[Entry], mend: Mend | None) -> Iterator[Sums]:
    yield from carry_out(_holders(open_), verb, chosen, window="cli", mend=mend)


def _foretell(open_: Reading, verb: str, chosen: list[Entry], mend: Mend | None, as_json_: bool) -> None:
    """Say in numbers what an act would do."""
    found, _ = foresee(_holders(open_), verb, chosen, None, mend)
    if verb == "discard":
        _say({"would_discard": len(chosen)}, as_json_)
    elif as_json_:
        as_json(_foretold(found, len(chosen)))
    else:
        _show(found, len(chosen))


def _foretold(found: Foreseen, count: int) -> dict[str, Any]:
    return {
        "would_replay": count,
        "judged": found.judged,
        "would_pass": found.passing,
        "would_be_held": found.held,
        "would_be_dropped": found.dropped,
        "copies": found.copies,
        "to_destinations": {lane.name: lane.count for lane in found.lanes},
    }


def _show(found: Foreseen, count: int) -> None:
    of = f" (the newest {found.judged:,} were judged, at most {MOST_EVENTS:,} are)" if found.judged < count else ""
    out.print(f"{count:,} would be replayed{of}")
    rows: list[tuple[str, int, str]] = [("pass", found.passing, "under the plan and configuration of now")]
    rows += [(f"held again: {word}", n, _meaning(word)) for word, n in found.held.items()]
    rows += [(f"dropped: {word}", n, _meaning(word)) for word, n in found.dropped.items()]
    rows += [(f"copies to {name}", n, "") for name, n in found.copies.items()]
    rows += [(f"to {lane.name} once more", lane.count, f"its lane: {lane.state}") for lane in found.lanes]
    table(["would", "events", ""], [row for row in rows if row[1]], right=["events"])
    for detail in found.details:
        out.print(f"  {detail}", markup=False)


def _say(sums: dict[str, Any], as_json_: bool) -> None:
    if as_json_:
        as_json(sums)
        return
    out.print("   ".join(f"{key.replace('_', ' ')}: {value:,}" for key, value in sums.items()))
