"""What the console's Quarantine page reads and asks for, of a real house."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice

import msgspec

from customhouse.app.windows.persons import PersonKind, Persons
from customhouse.app.windows.quarantine.acts import Mend, foresee, preview
from customhouse.app.windows.quarantine.entries import (
    Entry,
    Holders,
    chosen,
    entries,
    holders,
    of_delivery,
    of_pipeline,
    text_of,
    whole,
)
from customhouse.app.windows.quarantine.groups import Groups
from customhouse.app.windows.quarantine.recipe import Undone, mend, problems, read
from customhouse.app.windows.quarantine.runs import Order, Runs
from customhouse.app.workspace import Workspace
from customhouse.console.pages.quarantine_data import (
    Act,
    Change,
    Checked,
    Choice,
    Fits,
    Foreseen,
    Held,
    Line,
    Run,
    Step,
    Verb,
    Whole,
)
from customhouse.model.errors import Unavailable
from customhouse.model.frames import Quarantined
from customhouse.pipeline.quarantine import MOST_EVENTS
from customhouse.state.jobs import Jobs
from customhouse.wire.ids import as_id

_KINDS: dict[str, PersonKind] = {"user": "user", "anonymous": "anonymous", "group": "group"}
_OWNERS = ("pipeline", "delivery")
_EXAMPLES = 3
_AUDITED = 20
_VERBS = ("replay", "discard")


class QuarantineOf:
    """The quarantine of a workspace. Every method may be called from any thread."""

    def __init__(
        self, workspace: Workspace, report: Callable[[Exception], None], persons: Persons
    ) -> None:  # fmt: skip
        """Open nothing yet; `report` is told what no page would hear of."""
        self._workspace = workspace
        self._persons = persons
        self._groups = Groups(workspace, report)
        self._runs = Runs(workspace, report)

    def close(self) -> None:
        """End what goes on beside the requests."""
        self._runs.close()
        self._groups.close()

    def held(self, fits: Fits) -> Held:
        """Return the groups that fit, as last counted."""
        return self._groups.held(fits)

    def lines(self, fits: Fits, most: int) -> list[Line]:
        """Return the newest events that fit. Raises Unavailable."""
        with holders(self._workspace) as states:
            return [_line(entry) for entry in islice(entries(states, fits), most)]

    def whole(self, ref: str) -> Whole | None:
        """Return one event. Raises Unavailable."""
        with holders(self._workspace) as states:
            for one in whole(states, [ref]):
                entry = of_pipeline(one) if isinstance(one, Quarantined) else of_delivery(one)
                plain = {name: getattr(entry, name) for name in entry.__struct_fields__}
                return Whole(**plain | {"ref": entry.ref, "event": entry.label, "body": text_of(one)})
        return None

    def faults(self, steps: Sequence[Step]) -> list[str]:
        """Return in words what is wrong with a repair; empty when it can be tried."""
        return problems(steps)

    def foresee(self, verb: Verb, choice: Choice, steps: Sequence[Step]) -> Foreseen:
        """Return what an act would do. Raises Unavailable."""
        repair = _Repair(steps) if steps else None
        with holders(self._workspace) as states:
            walk = chosen(states, choice)
            if repair:
                walk = (entry for entry in walk if not entry.destination)
            found, verdicts = foresee(states, verb, walk, self._count(choice), repair)
            return _exemplified(found, repair, verdicts) if repair else found

    def check(self, ref: str, text: str) -> Checked:
        """Return what would become of one event with this text. Raises Unavailable."""
        with holders(self._workspace) as states:
            if problem := _unfit(states, ref, text):
                return Checked("", problem=problem)
            plain = ref.replace("-", "")
            said = preview(states, {"ids": [plain], "repaired": {plain: text}})
        for _, fate, detail in said["verdicts"]:
            return Checked(fate, detail, said["copies"])
        return Checked("", problem="the event is not in quarantine any more")

    def begin(self, verb: Verb, choice: Choice, steps: Sequence[Step], text: str) -> str:
        """Begin an act, `text` taking the place of the one event's own; return the run's id. Raises Unavailable."""
        repair: Mend | None = _Repair(steps) if steps else None
        if text:
            with holders(self._workspace) as states:
                if problem := _unfit(states, choice.refs[0], text):
                    raise Unavailable(problem)
            repair = _instead(text.encode())
        total = len(choice.refs) or self._count(choice) or MOST_EVENTS
        about = f"{total:,} events {choice.fits.words()}" if not choice.refs else _count_words(len(choice.refs))
        return self._runs.begin(Order(verb, choice, about, total, repair))

    def run(self, run_id: str) -> Run | None:
        """Return how far an act is."""
        return self._runs.run(run_id)

    def refer(self, kind: str, person: str) -> str:
        """Return the keyed reference of a person's id."""
        return self._persons.reference(_KINDS[kind], person)

    def reveal(self, ref: str) -> None:
        """Leave a line in the audit: somebody looks at an event unmasked. Raises Unavailable when it cannot be left."""
        said = {"what": ref.partition("@")[0]}
        answer = Jobs(self._workspace.jobs("supervisor")).ask("reveal", said, timeout=10.0, asked_by="console")
        if not answer.ok:
            raise Unavailable(answer.message)

    def audit(self) -> list[Act]:
        """Return what was done with held events, by any window, newest first."""
        acts = []
        for owner in _OWNERS:
            for line in Jobs(self._workspace.jobs(owner)).audit(_AUDITED * 5):
                if line.verb in _VERBS:
                    events = line.about.get("ids", 0)
                    done, again = (line.details.get(name, 0) for name in ("done", "again"))
                    outcome = "done" if line.ok else line.message
                    acts.append(Act(line.at, line.verb, line.asked_by, events, done, again, owner, outcome))
        return sorted(acts, key=lambda act: -act.at)[:_AUDITED]

    def _count(self, choice: Choice) -> int:
        if choice.refs:
            return len(choice.refs)
        held = self._groups.held(choice.fits)
        if not held.counting:
            return sum(group.count for group in held.groups)
        with holders(self._workspace) as states:
            return sum(1 for _ in chosen(states, choice))


class _Repair:
    """The steps of a repair as something to mend events with; keeps what it did, for telling."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.untouched: Counter[str] = Counter()
        self.mended: dict[str, tuple[str, bytes]] = {}
        self.changed = 0

    def __call__(self, one: Quarantined) -> bytes | None:
        before = one.envelope.letters[0].body
        try:
            after = mend(before, self.steps)
        except Undone as undone:
            self.untouched[str(undone)] += 1
            return None
        if after is before:
            self.untouched["the steps change nothing in it"] += 1
            return None
        self.changed += 1
        if len(self.mended) < MOST_EVENTS:
            self.mended[one.id.hex()] = (of_pipeline(one).ref, before)
        return after


def _exemplified(found: Foreseen, repair: _Repair, verdicts: list[list[str]]) -> Foreseen:
    """Add what the repair did, and three events before and after: one that would pass, one that would not, if any."""
    mended = [(repair.mended[id_], fate) for id_, fate, _ in verdicts if id_ in repair.mended]
    good = [pair for pair in mended if not pair[1].startswith("quarantined")]
    bad = [pair for pair in mended if pair[1].startswith("quarantined")]
    examples = []
    for (ref, before), fate in [*good[: _EXAMPLES - min(1, len(bad))], *bad][:_EXAMPLES]:
        after = mend(before, repair.steps)
        examples.append(Change(ref, before.decode("utf-8", "replace"), after.decode("utf-8", "replace"), fate))
    return msgspec.structs.replace(
        found, changed=repair.changed, untouched=dict(repair.untouched.most_common(5)), examples=examples
    )


def _instead(body: bytes) -> Mend:
    return lambda _one: body


def _unfit(states: Holders, ref: str, text: str) -> str:
    """Return why a text cannot take the place of an event's own; empty when it can be tried."""
    found = [one for one in whole(states, [ref]) if isinstance(one, Quarantined)]
    if not found:
        return "the event is not in quarantine any more: see its page"
    try:
        after = read(text.encode())
    except (Undone, UnicodeEncodeError):
        return "this is no JSON object: look for a missing quote, comma or brace"
    if found[0].message_id and as_id(after.get("messageId")) != found[0].message_id:
        return "messageId must stay what it was: with another one it would be another event"
    return ""


def _line(entry: Entry) -> Line:
    return Line(
        ref=entry.ref, id=entry.id, at=entry.at, source=entry.source, event=entry.label, reason=entry.reason,
        detail=entry.detail, destination=entry.destination, message_id=entry.message_id,
    )  # fmt: skip


def _count_words(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"
