import msgspec
import pytest

from customhouse.model.envelope import RequestFacts
from customhouse.model.event import Event
from customhouse.model.outcome import Drop, Quarantine, Scope
from customhouse.model.reasons import REASONS
from customhouse.stages.dedupe import CONFLICT, DAY, DUPLICATE, Dedupe, DedupeConfig
from customhouse.state.ids import MemoryIndex

SCOPE = Scope(now=0)
TODAY = 20_000


def event(position, message_id="m", fingerprint=1, *, day=TODAY, source="web", replay_of=-1):
    return Event(
        id=position.to_bytes(16, "big"),
        position=position,
        source=source,
        protocol="segment",
        type="track",
        name="Signed Up",
        message_id=message_id,
        user_id=None,
        anonymous_id="a",
        group_id=None,
        previous_id=None,
        received_at=day * DAY + 1,
        original_at=None,
        sent_at=None,
        properties=b"{}",
        traits=b"{}",
        context=b"{}",
        integrations=b"{}",
        request=RequestFacts(),
        order_key="a",
        fingerprint=fingerprint,
        replay_of=replay_of,
    )


BAD = Quarantine("schema_violation")


def dedupe(window=7, secret=42):
    return Dedupe(MemoryIndex(), window, secret)


def settle(stage, events, *fates):
    """Judge a batch and remember it, with these fates of the events that pass (as they are, unless told)."""
    given = iter(fates)
    outcomes = [next(given, o) if isinstance(o, Event) else o for o in stage.judge(events, SCOPE)]
    stage.remember(stage.learn(events, outcomes, SCOPE))
    return outcomes


def test_words_are_documented():
    assert REASONS[DUPLICATE].kind == "dropped"
    assert REASONS[CONFLICT].kind == "flag"


def test_an_event_met_for_the_first_time_passes_untouched():
    events = [event(1, "a"), event(2, "b")]
    assert dedupe().judge(events, SCOPE) == events


def test_no_events_are_no_outcomes():
    stage = dedupe()
    assert settle(stage, []) == []
    assert stage.reconsider([], [], SCOPE) == []


def test_a_replay_counts_under_the_day_of_the_replay():
    index = MemoryIndex()
    stage = Dedupe(index, 7, 42)
    late = event(1, replay_of=1, day=TODAY - 20)
    scope = Scope(now=TODAY * DAY)
    stage.remember(stage.learn([late], stage.judge([late], scope), scope))
    assert index.days() == [TODAY]


def test_a_resend_is_dropped_and_says_of_which_event():
    stage = dedupe()
    settle(stage, [event(1)])
    assert stage.judge([event(2), event(3, "other")], SCOPE) == [
        Drop(DUPLICATE, "of the event at position 1"),
        event(3, "other"),
    ]


def test_a_resend_with_another_content_is_flagged():
    stage = dedupe()
    settle(stage, [event(1)])
    (drop,) = stage.judge([event(2, fingerprint=2)], SCOPE)
    assert drop == Drop(DUPLICATE, "of the event at position 1", (CONFLICT,))


def test_within_a_batch_the_first_counts():
    events = [event(1), event(2), event(3, fingerprint=2), event(4, "b")]
    first, second, third, fourth = dedupe().judge(events, SCOPE)
    assert (first, fourth) == (events[0], events[3])
    assert second == Drop(DUPLICATE, "of the event at position 1")
    assert third == Drop(DUPLICATE, "of the event at position 1", (CONFLICT,))


def test_sources_do_not_share_ids():
    stage = dedupe()
    settle(stage, [event(1, source="web")])
    assert stage.judge([event(2, source="app")], SCOPE) == [event(2, source="app")]


@pytest.mark.parametrize(("later", "known"), [(0, True), (7, True), (8, False)])
def test_the_window_is_counted_in_days_of_receipt(later, known):
    stage = dedupe(window=7)
    settle(stage, [event(1)])
    (outcome,) = stage.judge([event(2, day=TODAY + later)], SCOPE)
    assert isinstance(outcome, Drop) is known


def test_the_window_holds_within_one_batch_too():
    events = [event(1), event(2, day=TODAY + 8), event(3, day=TODAY + 9)]
    first, second, third = dedupe(window=7).judge(events, SCOPE)
    assert (first, second) == tuple(events[:2])
    assert third == Drop(DUPLICATE, "of the event at position 2")


def test_a_rerun_of_an_owner_passes_and_of_its_duplicate_does_not():
    stage = dedupe()
    events = [event(1), event(2)]
    outcomes = settle(stage, events)
    assert stage.judge(events, SCOPE) == outcomes
    assert [stage.judge([each], SCOPE)[0] for each in events] == outcomes


def test_a_quarantined_owner_blocks_the_same_content_only():
    stage = dedupe()
    settle(stage, [event(1)], BAD)
    assert stage.judge([event(2)], SCOPE) == [Drop(DUPLICATE, "of the event at position 1")]
    assert stage.judge([event(2, fingerprint=2)], SCOPE) == [event(2, fingerprint=2)]


def test_the_latest_of_several_quarantined_contents_is_the_known_one():
    stage = dedupe()
    settle(stage, [event(1)], BAD)
    settle(stage, [event(2, fingerprint=2)], BAD)
    assert stage.judge([event(3, fingerprint=2)], SCOPE) == [Drop(DUPLICATE, "of the event at position 2")]
    assert stage.judge([event(3)], SCOPE) == [event(3)]


def test_a_repaired_event_owns_the_id():
    stage = dedupe()
    settle(stage, [event(1)], BAD)
    settle(stage, [event(2, fingerprint=2)])
    assert stage.judge([event(3)], SCOPE) == [Drop(DUPLICATE, "of the event at position 2", (CONFLICT,))]


def test_a_replay_leaves_quarantine():
    stage = dedupe()
    settle(stage, [event(1)], BAD)
    again = event(1, replay_of=1)
    assert settle(stage, [again]) == [again]
    assert stage.judge([event(2)], SCOPE) == [Drop(DUPLICATE, "of the event at position 1")]


def test_a_replay_of_one_quarantined_event_passes_another_quarantined_one():
    stage = dedupe()
    settle(stage, [event(1)], BAD)
    settle(stage, [event(2, fingerprint=2)], BAD)
    assert stage.judge([event(1, replay_of=1)], SCOPE) == [event(1, replay_of=1)]


def test_a_replay_comes_too_late_when_the_id_has_been_accepted_meanwhile():
    stage = dedupe()
    settle(stage, [event(1)], BAD)
    settle(stage, [event(2, fingerprint=2)])
    (drop,) = stage.judge([event(1, replay_of=1)], SCOPE)
    assert drop == Drop(DUPLICATE, "of the event at position 2", (CONFLICT,))


def test_dropped_on_purpose_by_a_later_stage_is_accepted():
    stage = dedupe()
    settle(stage, [event(1)], Drop("discarded"))
    assert stage.judge([event(2)], SCOPE) == [Drop(DUPLICATE, "of the event at position 1")]


def test_judging_and_learning_remember_nothing():
    stage = dedupe()
    events = [event(1)]
    outcomes = stage.judge(events, SCOPE)
    assert stage.learn(events, outcomes, SCOPE)
    assert stage.judge([event(2)], SCOPE) == [event(2)]


def test_what_was_learnt_may_be_remembered_twice_and_in_any_order():
    def memories():
        stage = dedupe()
        for events, fate in (([event(1)], BAD), ([event(2, fingerprint=2)], BAD), ([event(3, fingerprint=3)], None)):
            outcomes = stage.judge(events, SCOPE)
            memory = stage.learn(events, [fate] if fate else outcomes, SCOPE)
            stage.remember(memory)
            yield memory

    late = dedupe()
    for memory in [*memories()][::-1] * 2:
        late.remember(memory)
    assert late.judge([event(4)], SCOPE) == [Drop(DUPLICATE, "of the event at position 3", (CONFLICT,))]


def test_a_batch_of_duplicates_teaches_nothing():
    stage = dedupe()
    settle(stage, [event(1)])
    events = [event(2)]
    assert stage.learn(events, stage.judge(events, SCOPE), SCOPE) == b""
    stage.remember(b"")


def test_another_secret_makes_other_keys():
    index = MemoryIndex()
    settle(Dedupe(index, 7, 1), [event(1)])
    assert Dedupe(index, 7, 2).judge([event(2)], SCOPE) == [event(2)]


def test_old_days_are_forgotten_and_a_clock_gone_wrong_forgets_none():
    index = MemoryIndex()
    stage = Dedupe(index, 2, 42)
    for day in range(TODAY, TODAY + 6):
        settle(stage, [event(day, str(day), day=day)])
    assert index.days() == [TODAY + 2, TODAY + 3, TODAY + 4, TODAY + 5]
    settle(stage, [event(9, "future", day=TODAY + 500)])
    assert index.days() == [TODAY + 3, TODAY + 4, TODAY + 5, TODAY + 500]
    settle(stage, [event(10, "back", day=TODAY + 6)])
    assert isinstance(stage.judge([event(TODAY + 99, str(TODAY + 4), day=TODAY + 6)], SCOPE)[0], Drop)


def test_reconsidering_asks_for_the_next_of_another_content():
    stage = dedupe()
    events = [event(1), event(2), event(3, fingerprint=2), event(4, fingerprint=3), event(5, "b")]
    outcomes = stage.judge(events, SCOPE)
    outcomes[0] = BAD
    assert stage.reconsider(events, outcomes, SCOPE) == [2]
    assert stage.judge([events[2]], SCOPE) == [events[2]]
    outcomes[2] = BAD
    assert stage.reconsider(events, outcomes, SCOPE) == [3]
    assert stage.judge([events[3]], SCOPE) == [events[3]]
    outcomes[3] = events[3]
    assert stage.reconsider(events, outcomes, SCOPE) == []


def test_reconsidering_corrects_who_a_duplicate_is_told_to_be_of():
    stage = dedupe()
    events = [event(1), event(2, fingerprint=2), event(3)]
    outcomes = stage.judge(events, SCOPE)
    outcomes[0] = BAD
    assert stage.reconsider(events, outcomes, SCOPE) == [1]
    (outcomes[1],) = stage.judge([events[1]], SCOPE)
    assert stage.reconsider(events, outcomes, SCOPE) == [2]
    (outcomes[2],) = stage.judge([events[2]], SCOPE)
    assert outcomes[2] == Drop(DUPLICATE, "of the event at position 2", (CONFLICT,))
    assert stage.reconsider(events, outcomes, SCOPE) == []


def test_a_batch_given_up_while_reconsidering_is_judged_afresh():
    stage = dedupe()
    events = [event(1), event(2, fingerprint=2)]
    outcomes = stage.judge(events, SCOPE)
    assert stage.reconsider(events, [BAD, outcomes[1]], SCOPE) == [1]
    assert stage.judge(events, SCOPE) == outcomes


@pytest.mark.parametrize("text", ['{"window_days":0}', '{"window_days":31}', '{"window":7}'])
def test_a_wrong_configuration_is_refused(text):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=DedupeConfig)


def test_the_window_is_a_week_unless_told():
    assert DedupeConfig().window_days == 7
