"""`customhouse quarantine`: what is held back, why, and how it gets out again."""

import sys
from collections import Counter
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from rich.progress import Progress

from customhouse.cli.output import as_json, err, errors_in_words, fail, out, table, when
from customhouse.cli.place import HERE, DataOption, JsonOption, Reading, WorkspaceOption, reading
from customhouse.delivery.settle import marks, rejected, rejected_among
from customhouse.ledger.books import balances, flows
from customhouse.model.envelope import Letter
from customhouse.model.frames import HeldEvent, Quarantined
from customhouse.model.reasons import REASONS
from customhouse.pipeline.quarantine import find, held
from customhouse.state.jobs import Jobs
from customhouse.wire.ids import hex_id, id_bytes

app = typer.Typer(no_args_is_help=True, help="List, show, replay and discard events that are held back.")
_PIECE = 500

Ids = Annotated[list[str] | None, typer.Argument(help="Event ids, as `list` shows them.")]
Everything = Annotated[bool, typer.Option("--all", help="Everything that --reason, --event and --destination leave.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Only this reason.")]
EventOption = Annotated[str, typer.Option("--event", help="Only events of this name.")]
DestinationOption = Annotated[str, typer.Option("--destination", help="Only what this destination refused.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")]


class Entry(Struct, frozen=True, kw_only=True):
    """One event that is held back, whoever holds it."""

    id: str
    at: int
    source: str
    type: str
    event: str
    message_id: str
    reason: str
    detail: str
    destination: str
    plan_release: int
    library: str


@app.command("list")
def list_(
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    reason: ReasonOption = "",
    event: EventOption = "",
    destination: DestinationOption = "",
    limit: Limit = 50,
    as_json_: JsonOption = False,
) -> None:
    """List what is held back, newest first, with a count per reason.

    Example: customhouse quarantine list --reason schema_violation
    """
    with errors_in_words(), reading(root, data) as open_:
        found = list(islice(_entries(open_, reason, event, destination), limit))
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
        [(e.id, when(e.at), e.source, e.event or e.type, e.reason, e.detail) for e in found],
    )
    if len(found) == limit:
        out.print(f"… the newest {limit:,}; see --limit, --reason, --event")


@app.command()
def show(event_id: str, root: WorkspaceOption = HERE, data: DataOption = "") -> None:
    """Show one event whole: the client's own bytes, the reason, and what to do. Always JSON."""
    with errors_in_words(), reading(root, data) as open_:
        wanted = [parsed] if (parsed := id_bytes(event_id)) else []
        found = [_whole(one) for one in find(open_.pipeline, wanted)]
        for lane in sorted({lane for lane, _ in marks(open_.delivery)}):
            found += [_refused(one) for one in rejected_among(open_.delivery, lane, wanted)]
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
    destination: DestinationOption = "",
    repaired: Annotated[
        Path | None, typer.Option("--with", help="JSON file that takes the place of the one event's own bytes.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be replayed.")] = False,
    as_json_: JsonOption = False,
) -> None:
    """Send events down the road again, under the plan and configuration of now.

    Examples: customhouse quarantine replay 0198c3…  --with repaired.json
              customhouse quarantine replay --all --reason schema_violation
    """
    with errors_in_words(), reading(root, data) as open_:
        body = _repaired(repaired, ids)
        chosen = _chosen(open_, ids, everything, (reason, event, destination))
        if dry_run:
            _say({"would_replay": len(chosen)}, as_json_)
            return
        _say(_ask(open_, "replay", chosen, {"repaired": body} if body else {}), as_json_)


@app.command()
def discard(
    ids: Ids = None,
    root: WorkspaceOption = HERE,
    data: DataOption = "",
    everything: Everything = False,
    reason: ReasonOption = "",
    event: EventOption = "",
    destination: DestinationOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json_: JsonOption = False,
) -> None:
    """End events for good. They stay in the trail and in the books (`dropped:discarded`); their content goes with the log's retention."""
    with errors_in_words(), reading(root, data) as open_:
        chosen = _chosen(open_, ids, everything, (reason, event, destination))
        if chosen and not yes:
            typer.confirm(f"{len(chosen):,} events end for good; this cannot be undone. Go on?", abort=True, err=True)
        _say(_ask(open_, "discard", chosen, {}), as_json_)


def _entries(open_: Reading, reason: str, event: str, destination: str) -> Iterator[Entry]:
    """Walk everything that is held back and fits, newest first, a page at a time."""
    quarantined = () if destination else map(_of_pipeline, held(open_.pipeline))
    refused = map(_of_delivery, rejected(open_.delivery, destination))
    for entry in merge(quarantined, refused, key=attrgetter("id"), reverse=True):
        if (not reason or entry.reason == reason) and (not event or entry.event == event):
            yield entry


def _held_back(open_: Reading) -> list[tuple[str, int, str]]:
    """Return what the books say is held back: account, events, what the reason means."""
    rows = []
    for account, count in sorted(balances(flows(open_.pipeline, open_.delivery)).items()):
        kind, _, word = account.partition(":")
        if count and kind in ("quarantined", "rejected"):
            meaning = REASONS[word].meaning if word in REASONS else "Refused by this destination."
            rows.append((account, count, meaning))
    return rows


def _of_pipeline(one: Quarantined) -> Entry:
    return Entry(
        id=hex_id(one.id), at=one.envelope.received_at, source=one.source, type=one.type, event=one.name,
        message_id=one.message_id, reason=one.reason, detail=one.detail, destination="",
        plan_release=one.versions.plan, library=one.library,
    )  # fmt: skip


def _of_delivery(one: HeldEvent) -> Entry:
    event = one.event
    return Entry(
        id=hex_id(event.id), at=event.received_at, source=event.source, type=event.type, event=event.name,
        message_id=event.message_id, reason=one.reason, detail=one.answer, destination=one.lane,
        plan_release=event.plan_release, library="",
    )  # fmt: skip


def _whole(one: Quarantined) -> dict[str, Any]:
    letter: Letter = one.envelope.letters[0]
    try:
        body: Any = msgspec.json.decode(letter.body)
    except msgspec.MsgspecError:
        body = letter.body.decode("utf-8", "replace")
    remedy = REASONS[one.reason].remedy if one.reason in REASONS else ""
    entry = msgspec.to_builtins(_of_pipeline(one))
    return {**entry, "stage": one.stage, "remedy": remedy, "protocol": one.envelope.protocol, "original": body}


def _refused(one: HeldEvent) -> dict[str, Any]:
    remedy = REASONS[one.reason].remedy if one.reason in REASONS else ""
    event = one.event
    parts = {name: msgspec.Raw(getattr(event, name)) for name in ("properties", "traits", "context")}
    return {**msgspec.to_builtins(_of_delivery(one)), "attempts": one.attempts, "remedy": remedy, **parts}


def _repaired(path: Path | None, ids: list[str] | None) -> str:
    if path is None:
        return ""
    if len(ids or []) != 1:
        fail("--with repairs one event", "name exactly one event id")
    try:
        text = path.read_text()
        msgspec.json.decode(text.encode(), type=dict[str, Any])
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {error}")
    except msgspec.MsgspecError as error:
        fail(f"{path} is not a JSON object: {error}", "take `original` of `customhouse quarantine show ID` and mend it")
    return text


def _chosen(open_: Reading, ids: list[str] | None, everything: bool, fits: tuple[str, str, str]) -> list[Entry]:
    """Return the events a command is about."""
    if bool(ids) == everything:
        fail("name event ids, or --all", "see them with `customhouse quarantine list`")
    if everything:
        return list(_entries(open_, *fits))
    wanted = [parsed for parsed in (id_bytes(text) for text in ids or []) if parsed]
    lanes = {lane for lane, _ in marks(open_.delivery)}
    refused = [one for lane in sorted(lanes) for one in rejected_among(open_.delivery, lane, wanted)]
    return [*map(_of_pipeline, find(open_.pipeline, wanted)), *map(_of_delivery, refused)]


def _ask(open_: Reading, verb: str, chosen: list[Entry], more: dict[str, Any]) -> dict[str, Any]:
    """Have the owners carry it out, piece by piece, with a progress bar where somebody looks."""
    sums: Counter[str] = Counter()
    owners = (
        ("pipeline", [e for e in chosen if not e.destination]),
        ("delivery", [e for e in chosen if e.destination]),
    )
    with Progress(console=err, transient=True, disable=not sys.stderr.isatty() or len(chosen) < _PIECE) as progress:
        task = progress.add_task(verb, total=len(chosen))
        for owner, entries in owners:
            jobs = Jobs(open_.workspace.jobs(owner))
            for start in range(0, len(entries), _PIECE):
                piece = entries[start : start + _PIECE]
                arguments = {
                    "ids": [e.id.replace("-", "") for e in piece],
                    "lanes": [e.destination for e in piece],
                    **more,
                }
                answer = jobs.ask(verb, arguments)
                if not answer.ok:
                    fail(answer.message)
                sums.update({key: value for key, value in answer.details.items() if isinstance(value, int)})
                progress.advance(task, len(piece))
    past = {"replay": "replayed", "discard": "discarded"}[verb]
    return {past: sums["done"], "quarantined_again": sums["again"]} if verb == "replay" else {past: sums["done"]}


def _say(sums: dict[str, Any], as_json_: bool) -> None:
    if as_json_:
        as_json(sums)
        return
    out.print("   ".join(f"{key.replace('_', ' ')}: {value:,}" for key, value in sums.items()))
