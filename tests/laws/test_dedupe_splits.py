"""Dedupe does not care how the log is cut into batches: any split of a history gives every event the same fate."""

import itertools

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.model.envelope import RequestFacts
from customhouse.model.event import Event
from customhouse.model.outcome import Drop, Quarantine, Scope
from customhouse.stages.dedupe import DAY, Dedupe
from customhouse.state.ids import MemoryIndex

SCOPE = Scope(now=150 * DAY)
TEMPLATE = Event(
    id=bytes(16),
    position=0,
    source="web",
    protocol="segment",
    type="track",
    name="",
    message_id="",
    user_id=None,
    anonymous_id="a",
    group_id=None,
    previous_id=None,
    received_at=0,
    original_at=None,
    sent_at=None,
    properties=b"{}",
    traits=b"{}",
    context=b"{}",
    integrations=b"{}",
    request=RequestFacts(),
    order_key="a",
)


def validation(events):
    """A later stage: good events go on, bad ones to quarantine."""
    return [event if event.name == "good" else Quarantine("schema_violation") for event in events]


def walk(stage, events):
    outcomes = stage.judge(events, SCOPE)
    passed = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Event)]
    for place, outcome in zip(passed, validation([events[place] for place in passed]), strict=True):
        outcomes[place] = outcome
    return outcomes


def settle(stage, events):
    """What the runner does with one batch."""
    outcomes = walk(stage, events)
    rounds = 0
    while places := stage.reconsider(events, outcomes, SCOPE):
        for place, outcome in zip(places, walk(stage, [events[place] for place in places]), strict=True):
            outcomes[place] = outcome
        rounds += 1
        assert rounds <= 2 * len(events)
    stage.remember(stage.learn(events, outcomes, SCOPE))
    return outcomes


def fates(events, cuts, window=2):
    stage = Dedupe(MemoryIndex(), window, 42)
    edges = [0, *sorted(cuts), len(events)]
    outcomes = [o for start, end in itertools.pairwise(edges) for o in settle(stage, events[start:end])]
    return [outcome if isinstance(outcome, Drop | Quarantine) else "accepted" for outcome in outcomes]


@st.composite
def histories(draw):
    """Events of few ids and contents, good and bad, received over some days, a few of them replays of earlier ones."""
    events, day = [], 100
    for position in range(draw(st.integers(1, 14))):
        day += draw(st.sampled_from((0, 0, 0, 0, 1, 3)))
        content = draw(st.integers(0, 3))
        made = msgspec.structs.replace(
            TEMPLATE,
            position=position,
            received_at=day * DAY,
            message_id=draw(st.sampled_from("xxxy")),
            fingerprint=content,
            name=draw(st.sampled_from(("good", "bad", "bad"))),
        )
        if events and draw(st.integers(0, 5)) == 0:
            of = draw(st.sampled_from(events))
            made = msgspec.structs.replace(of, fingerprint=content, name=made.name, replay_of=of.position)
        events.append(made)
    return events


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_any_split_gives_the_same_fates(data):
    events = data.draw(histories())
    cuts = data.draw(st.sets(st.integers(1, max(len(events) - 1, 1))))
    one_by_one = fates(events, range(1, len(events)))
    assert fates(events, cuts) == one_by_one
    assert fates(events, ()) == one_by_one


def day(event):
    """The day an event counts under: that of its receipt, for a replay that of the replay."""
    return (event.received_at if event.replay_of < 0 else SCOPE.now) // DAY


@settings(max_examples=200, deadline=None)
@given(histories())
def test_within_the_window_one_event_of_an_id_is_accepted(events):
    accepted = [event for event, fate in zip(events, fates(events, ()), strict=True) if fate == "accepted"]
    for earlier, later in itertools.combinations(accepted, 2):
        near = abs(day(later) - day(earlier)) <= 2
        assert not (near and earlier.message_id == later.message_id and earlier.position != later.position)
