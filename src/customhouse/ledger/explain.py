"""
One event's whole way, in words: what the trail and the receipts say, told in the order in which it happened.

The trail keeps facts, not sentences; sentences are made here, when somebody asks, so that they can improve without
rewriting what is stored.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from customhouse.model.reasons import REASONS

_BEFORE_CLOCK = ("reading", "dedupe")
"""Who ends at these stations has not been to the clock."""


class Passage(Struct, frozen=True, kw_only=True):
    """One walk of an event through the pipeline, as the trail has it. Times are microseconds since 1970."""

    event_id: str
    message_id: str
    source: str
    type: str
    event: str
    received_at: int
    occurred_at: int
    original_at: int | None
    fate: str
    stage: str
    detail: str
    flags: tuple[str, ...]
    schema_version: str
    routes: tuple[str, ...]
    partition: int
    position: int
    owed_position: int | None
    judged_at: int
    config: int
    plan: int


class Answered(Struct, frozen=True, kw_only=True):
    """One answer of a destination, or what its lane says of an event it has yet to deliver."""

    lane: str
    verdict: str
    """`delivered`, `rejected`, `expired`, `retry`, `waiting`."""
    reason: str = ""
    answer: str = ""
    at: int | None = None
    attempts: int = 0


class Change(Struct, frozen=True):
    """One thing that a station wrote, in words; `before` is empty when there was nothing."""

    name: str
    before: str
    after: str


class Step(Struct, frozen=True):
    """One line of the story."""

    at: int | None
    station: str
    words: str
    tone: str
    """`good`, `wait`, `bad`, `info` or `again`: what colour it deserves."""
    changes: tuple[Change, ...] = ()
    """What the station wrote into the event."""
    quote: str = ""
    """The part of the words that is not ours: what a destination answered, or a detail of the event."""


class Story(Struct, frozen=True):
    """Everything that is known of one event."""

    event_id: str
    message_id: str
    source: str
    type: str
    event: str
    state: str
    """Where it is now, in one word or account name."""
    steps: list[Step]
    partition: int = -1
    position: int = -1
    """Where the log `received` has it; -1 when that is not known."""
    owed_position: int | None = None
    """Where the log `owed` has it, when it was routed."""
    detail: str = ""
    """What is wrong with it, when it is held back."""


def story(passages: Sequence[Passage], answers: Sequence[Answered]) -> Story:
    """Tell one event's way from its passages (one, or several when it was replayed) and its destinations' answers."""
    first, last = passages[0], passages[-1]
    steps = [Step(first.received_at, "door", f"received from source {first.source} and made durable", "good")]
    for passage in passages:
        steps += _walk(passage)
    steps += [_answer(answer) for answer in answers]
    return Story(
        event_id=last.event_id,
        message_id=last.message_id,
        source=last.source,
        type=last.type,
        event=last.event,
        state=_state(last, answers),
        steps=steps,
        partition=last.partition,
        position=last.position,
        owed_position=last.owed_position,
        detail=last.detail,
    )


def waiting_in_log(
    event_id: str, message_id: str, source: str, received_at: int, place: tuple[int, int] = (-1, -1)
) -> Story:
    """Tell of an event that is durable and not judged yet. `place` is its partition and position in the log."""
    steps = [
        Step(received_at, "door", f"received from source {source} and made durable", "good"),
        Step(None, "log", "waits for the pipeline", "wait"),
    ]
    return Story(event_id, message_id, source, "", "", "logged", steps, *place)


def _walk(passage: Passage) -> list[Step]:
    """Return what the stages did, in their order."""
    at, steps = passage.judged_at, []
    if "replayed" in passage.flags or passage.stage == "quarantine":
        steps.append(Step(at, "quarantine", "left quarantine", "again"))
    if passage.stage == "quarantine":
        return [*steps, Step(at, "quarantine", f"discarded; it was {passage.detail}", "bad")]
    if passage.stage not in _BEFORE_CLOCK:
        steps.append(Step(at, "clock", _time(passage), "info", _moved(passage)))
    if passage.schema_version:
        judged = f"judged by version {passage.schema_version} of its schema, plan release {passage.plan}"
        wrote = Change("schema_version", "", passage.schema_version), Change("plan_release", "", str(passage.plan))
        steps.append(Step(at, "validation", judged, "info", wrote))
    steps += [Step(at, "flag", f"{flag}: {_meaning(flag)}", "info") for flag in passage.flags if flag in REASONS]
    return [*steps, _fate(passage)]


def _time(passage: Passage) -> str:
    """Say when it happened and how we know."""
    happened = f"happened at {clock(passage.occurred_at)}"
    if passage.original_at is None:
        return f"{happened}, the time of receipt, because the client's own time is missing or cannot be read"
    shift = passage.occurred_at - passage.original_at
    if not shift:
        return f"{happened}, as the client says"
    return f"{happened}; the client's clock said {clock(passage.original_at)}, which was moved by {shift / 1e6:+.3f} s"


def _moved(passage: Passage) -> tuple[Change, ...]:
    """Return what the clock wrote."""
    before = "" if passage.original_at is None else clock(passage.original_at)
    return (Change("occurred_at", before, clock(passage.occurred_at)),)


def _fate(passage: Passage) -> Step:
    """Say how the walk ended."""
    at, under = passage.judged_at, f"plan release {passage.plan}, configuration {passage.config}"
    kind, _, reason = passage.fate.partition(":")
    if kind == "routed":
        wrote = (Change("routes", "", ", ".join(passage.routes)),)
        return Step(at, "routing", f"owed to {', '.join(passage.routes)} ({under})", "good", wrote)
    if kind == "unrouted":
        return Step(at, "routing", f"no route wants it: counted, and kept nowhere but in the log ({under})", "info")
    detail = f": {passage.detail}" if passage.detail else ""
    told = f"{kind} as {reason}{detail}. {_meaning(reason)} {_remedy(reason)} ({under})"
    return Step(at, passage.stage, told, "again" if kind == "dropped" else "bad", quote=passage.detail)


def _answer(answer: Answered) -> Step:
    """Say what a destination answered."""
    said = f": {answer.answer}" if answer.answer else ""
    tries = f", attempt {answer.attempts}" if answer.attempts > 1 else ""
    if answer.verdict == "delivered":
        return Step(answer.at, answer.lane, f"delivered{tries}{said}", "good", quote=answer.answer)
    if answer.verdict == "waiting":
        return Step(answer.at, answer.lane, f"waits in the lane{said}", "wait")
    if answer.verdict == "retry":
        told = f"to be tried again as {answer.reason}{tries}{said}. {_remedy(answer.reason)}"
        return Step(answer.at, answer.lane, told.strip(), "wait", quote=answer.answer)
    told = f"{answer.verdict} as {answer.reason}{tries}{said}. {_remedy(answer.reason)}"
    return Step(answer.at, answer.lane, told, "bad", quote=answer.answer)


def _state(last: Passage, answers: Sequence[Answered]) -> str:
    """Say in one word where the event is now."""
    if last.fate != "routed":
        return last.fate
    newest = {answer.lane: answer.verdict for answer in answers}
    verdicts = {newest.get(name, "waiting") for name in last.routes}
    for verdict in ("waiting", "retry", "rejected", "expired"):
        if verdict in verdicts:
            return verdict
    return "delivered"


def clock(us: int) -> str:
    """Return a time as people read it, UTC to the millisecond."""
    return (
        datetime.fromtimestamp(us / 1e6, UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
        + " UTC"
    )


def _meaning(word: str) -> str:
    return REASONS[word].meaning if word in REASONS else ""


def _remedy(word: str) -> str:
    return REASONS[word].remedy if word in REASONS else ""
