"""What the Quarantine page shows and asks for, in the words it shares with whoever reads the house for it."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import asdict

Verb = Literal["replay", "discard"]
OTHER = "…"
"""Stands for the names of events beyond those that are told apart."""


class Fits(Struct, frozen=True):
    """A filter; what is empty leaves everything. `event` is the event's name, or its type where it has none."""

    reason: str = ""
    event: str = ""
    source: str = ""
    destination: str = ""

    def takes(self, reason: str, event: str, source: str, destination: str) -> bool:
        """Tell whether an event fits."""
        return (
            self.reason in ("", reason)
            and self.event in ("", event)
            and self.source in ("", source)
            and self.destination in ("", destination)
        )

    @property
    def query(self) -> str:
        """Return the filter as it stands in an address."""
        return urlencode({name: value for name, value in asdict(self).items() if value})

    def words(self) -> str:
        """Return the filter as people say it."""
        said = [
            f"of reason {self.reason}" if self.reason else "",
            f"of event {self.event}" if self.event else "",
            f"from {self.source}" if self.source else "",
            f"refused by {self.destination}" if self.destination else "",
        ]
        return ", ".join(filter(None, said)) or "of every kind"


class Choice(Struct, frozen=True):
    """What an act is about: the events named (`ID`, or `ID@destination` for one a destination refused), else all that fit."""

    fits: Fits = Fits()
    refs: tuple[str, ...] = ()
    upto: str = ""
    """Id of the newest event that was there when this was decided; what came later is not meant."""

    @property
    def query(self) -> str:
        """Return the choice as it stands in an address."""
        return urlencode([("id", ref) for ref in self.refs]) if self.refs else self.fits.query


class Step(Struct, frozen=True):
    """One step of a repair: what to do with the field at a path. `value` is JSON, a new name or a type, by the verb."""

    do: Literal["set", "rename", "convert", "remove", "name"]
    path: str = ""
    value: str = ""


class Group(Struct, frozen=True, kw_only=True):
    """Events held back for the same reason. Times in microseconds since 1970."""

    reason: str
    event: str
    destination: str
    count: int
    first: int
    last: int
    sources: Mapping[str, int]
    libraries: Sequence[str]
    releases: Sequence[int]
    example: str
    """The newest of them, as `Choice` names events."""


class Held(Struct, frozen=True, kw_only=True):
    """
    Everything that is held back, by group. `counted` of `total` events are in the groups so far.

    Until the first count is over (`ready`), nothing may be said about what is not held back.
    """

    groups: Sequence[Group]
    counted: int
    total: int
    ready: bool = True

    @property
    def counting(self) -> bool:
        """Tell whether some are still being counted."""
        return not self.ready or self.counted < self.total


class Line(Struct, frozen=True, kw_only=True):
    """One event in a list."""

    ref: str
    id: str
    at: int
    source: str
    event: str
    reason: str
    detail: str
    destination: str
    message_id: str


class Whole(Struct, frozen=True, kw_only=True):
    """One event, whole: `body` is the client's own text, or for a refused one what its destination would get."""

    ref: str
    id: str
    at: int
    source: str
    type: str
    event: str
    reason: str
    detail: str
    destination: str
    message_id: str
    plan_release: int
    library: str
    body: str


class Change(Struct, frozen=True):
    """One event before and after its repair, as text, and what would become of it."""

    ref: str
    before: str
    after: str
    fate: str


class Lane(Struct, frozen=True):
    """A destination that refused events would go to again."""

    name: str
    count: int
    state: str
    ready: bool


class Foreseen(Struct, frozen=True, kw_only=True):
    """What an act would do, in numbers. `judged` of `count` events were looked at."""

    count: int
    judged: int = 0
    passing: int = 0
    held: Mapping[str, int] = {}
    dropped: Mapping[str, int] = {}
    copies: Mapping[str, int] = {}
    lanes: Sequence[Lane] = ()
    details: Sequence[str] = ()
    """What would be wrong still, in the plan's words, the commonest first."""
    changed: int = 0
    untouched: Mapping[str, int] = {}
    """Why a repair could not change an event, in words."""
    examples: Sequence[Change] = ()
    upto: str = ""
    """Id of the newest of the events."""


class Checked(Struct, frozen=True):
    """What would become of one event with another text: `fate` is the account it would end in."""

    fate: str
    detail: str = ""
    copies: Mapping[str, int] = {}
    problem: str = ""
    """Why the text is no event at all."""


class Run(Struct, frozen=True, kw_only=True):
    """An act that is being carried out, or was."""

    id: str
    verb: Verb
    about: str
    total: int
    asked: int
    done: int
    again: int
    missing: int
    problem: str
    finished: bool
    back: Choice
    refs: Sequence[str] = ()
    """Some of the events it was about."""


class Act(Struct, frozen=True):
    """One line of the audit."""

    at: int
    verb: str
    window: str
    events: int
    done: int
    again: int
    owner: str
    outcome: str


class QuarantineSource(Protocol):
    """Where this page looks, and whom it asks. `held` and `run` answer at once; the others search, or wait for owners."""

    def held(self, fits: Fits) -> Held:
        """Return the groups that fit, as last counted."""

    def lines(self, fits: Fits, most: int) -> Sequence[Line]:
        """Return the newest events that fit. Raises Unavailable."""

    def whole(self, ref: str) -> Whole | None:
        """Return one event. Raises Unavailable."""

    def faults(self, steps: Sequence[Step]) -> Sequence[str]:
        """Return in words what is wrong with a repair; empty when it can be tried."""

    def foresee(self, verb: Verb, choice: Choice, steps: Sequence[Step]) -> Foreseen:
        """Return what an act would do. Raises Unavailable."""

    def check(self, ref: str, text: str) -> Checked:
        """Return what would become of one event with this text. Raises Unavailable."""

    def begin(self, verb: Verb, choice: Choice, steps: Sequence[Step], text: str) -> str:
        """Begin an act, `text` taking the place of the one event's own; return the run's id. Raises Unavailable."""

    def run(self, run_id: str) -> Run | None:
        """Return how far an act is."""

    def refer(self, kind: str, person: str) -> str:
        """Return the keyed reference of a person's id."""

    def reveal(self, ref: str) -> None:
        """Leave a line in the audit that somebody looks at this event unmasked. Raises Unavailable when it cannot be left."""

    def audit(self) -> Sequence[Act]:
        """Return what was done here, newest first."""
