"""Groups that are counted from the books, and repairs as data."""

from collections import Counter
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.app.windows.quarantine.acts import PIECE, Holders, foresee, pieces
from customhouse.app.windows.quarantine.entries import chosen, entries, named, shown, text_of, whole
from customhouse.app.windows.quarantine.groups import Groups
from customhouse.app.windows.quarantine.recipe import Undone, mend, problems
from customhouse.console.pages.quarantine_data import OTHER, Choice, Fits, Step
from customhouse.delivery.settle import LANES, REJECTED, Mark
from customhouse.ledger.books import post
from customhouse.model.envelope import Envelope, Letter, RequestFacts
from customhouse.model.frames import HeldEvent, Quarantined, encode
from customhouse.model.outcome import Versions
from customhouse.model.posting import HOUR, Tally, dropped, owed, quarantined, rejected
from customhouse.pipeline.settle import QUARANTINED
from customhouse.state.memory import MemoryState
from customhouse.testing.builders import event
from customhouse.wire.ids import hex_id

NOON = 1_767_268_800_000_000
REASONS = ("schema_violation", "name_missing")
NAMES = ("Order", "Signed Up", "")


class Quarantine:
    """Two states as their owners would keep them: rows and postings in one transaction."""

    def __init__(self):
        self.pipeline, self.delivery = MemoryState(), MemoryState()
        self.rows = {}
        self.skew = 0
        """Hours by which ids differ from the time of receipt: what a clock that was set makes."""

    @property
    def states(self):
        return Holders(None, self.pipeline, self.delivery)

    def put(self, nth, hour, reason="schema_violation", name="Order", source="web", body=b"{}"):
        at = NOON + hour * HOUR + nth * 1000
        id_ = ((at + self.skew * HOUR) // 1000).to_bytes(6) + nth.to_bytes(10)
        facts = Envelope(id_, source, "segment", "batch", at, "", b"", RequestFacts(), [Letter(0, "a", body)])
        one = Quarantined(
            id_, 0, nth, at, source, "track", name, f"m{nth}", "validation", reason, "total: expected number",
            Versions(1, 1 + nth % 3), facts, f"library {nth % 2}",
        )  # fmt: skip
        self._move(self.pipeline, "validation", quarantined(reason), source, at, put=(QUARANTINED, id_, encode(one)))
        self.rows[id_] = (reason, name or "track", "", source, at)

    def refuse(self, nth, lane="hook", name="Order"):
        one = event(position=nth, name=name, received_at=NOON + nth * 1000)
        at = one.received_at
        held = HeldEvent(lane, 0, nth, one, 3, at, at, "destination_refused", "400: no")
        key = one.id + lane.encode()
        self._move(self.delivery, owed(lane), rejected(lane), one.source, at, put=(REJECTED, key, encode(held)))
        with self.delivery.settle() as transaction:
            transaction.put(LANES, f"{lane}/0".encode(), encode(Mark()))
        self.rows[key] = ("destination_refused", name, lane, one.source, at)
        return one

    def take(self, key):
        reason, _, lane, source, at = self.rows.pop(key)
        if lane:
            self._move(self.delivery, rejected(lane), owed(lane), source, at, gone=(REJECTED, key))
        else:
            self._move(self.pipeline, quarantined(reason), dropped("discarded"), source, at, gone=(QUARANTINED, key))

    def _move(self, state, moved_from, moved_to, source, at, *, put=None, gone=None):
        tally = Tally()
        tally.move(source, at // HOUR, moved_from, moved_to)
        with state.settle() as transaction:
            post(transaction, tally.postings())
            if put:
                transaction.put(*put)
            if gone:
                transaction.delete(*gone)

    def expected(self, fits):
        """Count by hand."""
        kept = [row for row in self.rows.values() if fits.takes(row[0], row[1], row[3], row[2])]
        return Counter(row[:3] for row in kept), {row[:3]: 0 for row in kept}


def counted(held):
    return Counter({(group.reason, group.event, group.destination): group.count for group in held.groups})


def test_groups_say_all_that_is_known_of_them():
    house, groups = Quarantine(), Groups(None, print)
    house.put(1, 0)
    house.put(2, 5, source="app")
    house.put(3, 5, name="")
    house.refuse(9)
    held = groups.count(house.states)
    assert (held.counted, held.total, held.counting) == (4, 4, False)
    order = next(group for group in held.groups if group.count == 2)
    assert (order.reason, order.event, order.destination) == ("schema_violation", "Order", "")
    assert order.sources == {"web": 1, "app": 1}
    assert order.libraries == ["library 0", "library 1"]
    assert order.releases == [2, 3]
    assert (order.first, order.last) == (NOON + 1000, NOON + 5 * HOUR + 2000)
    assert [entry.message_id for entry in named(house.states, [order.example])] == ["m2"]
    only = groups.as_counted(Fits(source="app")).groups
    assert [(group.count, group.first, group.last) for group in only] == [(1, order.last, order.last)]
    (refused,) = groups.as_counted(Fits(destination="hook")).groups
    assert refused.example.endswith("@hook")
    assert [entry.destination for entry in named(house.states, [refused.example])] == ["hook"]


acts = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3), st.sampled_from(REASONS), st.sampled_from(NAMES)),
        st.tuples(st.just("refuse"), st.sampled_from(["hook", "ads"])),
        st.tuples(st.just("take"), st.integers(0, 100)),
        st.tuples(st.just("again"), st.integers(0, 100)),
        st.just(("look",)),
        st.tuples(st.just("skew"), st.integers(-1, 1)),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(acts=acts)
def test_however_events_come_and_go_the_groups_are_what_is_there(acts):
    house, groups = Quarantine(), Groups(None, print)
    for nth, (act, *said) in enumerate(acts, 1):
        if act == "put":
            house.put(nth, *said)
        elif act == "refuse":
            house.refuse(nth, *said)
        elif act == "skew":
            (house.skew,) = said
        elif act == "look":
            groups.count(house.states)
        elif house.rows:
            key = sorted(house.rows)[said[0] % len(house.rows)]
            reason, name, lane, _source, at = house.rows[key]
            house.take(key)
            if act == "again" and not lane and not house.skew:  # replayed, and held again for another reason
                position = int.from_bytes(key[6:])
                house.put(position, (at - NOON) // HOUR, REASONS[reason == REASONS[0]], name)
    held = groups.count(house.states)
    assert held.counted == held.total == len(house.rows)
    for fits in (Fits(), Fits(reason="name_missing"), Fits(event="Order"), Fits(destination="ads")):
        assert counted(groups.as_counted(fits)) == house.expected(fits)[0]
    listed = [entry.ref for entry in entries(house.states, Fits())]
    assert len(listed) == len(set(listed)) == len(house.rows)


def test_while_it_counts_it_says_so(monkeypatch):
    house, groups = Quarantine(), Groups(None, print)
    for nth in range(1, 20):
        house.put(nth, nth % 3)
    said = []
    monkeypatch.setattr(
        house.pipeline, "scan", _telling(house.pipeline.scan, lambda: said.append(groups.as_counted(Fits())))
    )
    assert groups.as_counted(Fits()).counting, "nothing is known before the first count"
    groups.count(house.states)
    assert said[0].counting
    assert said[0].total == 19
    assert not groups.as_counted(Fits()).counting


def _telling(scan, tell):
    def told(*args, **kwargs):
        tell()
        return scan(*args, **kwargs)

    return told


def test_what_did_not_change_is_not_read_again():
    house, groups = Quarantine(), Groups(None, print)
    for nth in range(1, 50):
        house.put(nth, nth % 5)
    groups.count(house.states)
    read, scan = [], house.pipeline.scan
    house.pipeline.scan = lambda *args, **kwargs: (read.append(1), scan(*args, **kwargs))[1]
    groups.count(house.states)
    assert not read
    house.put(99, 4)
    groups.count(house.states)
    assert 0 < len(read) <= 2, "only what came behind the last one of that hour"


def test_names_without_end_share_a_group():
    house, groups = Quarantine(), Groups(None, print)
    for nth in range(1, 5100):
        house.put(nth, 0, name=f"name {nth}")
    held = groups.count(house.states)
    assert held.counted == 5099
    assert len(held.groups) == 5001
    assert (held.groups[-1].event, held.groups[-1].count) == (OTHER, 99)


def test_events_are_found_by_id_and_by_destination():
    house = Quarantine()
    house.put(1, 0, body=b'{"event":"Order"}')
    one = house.refuse(7)
    house.refuse(7, lane="ads")
    assert len(whole(house.states, [hex_id(one.id)])) == 2
    (only,) = whole(house.states, [f"{hex_id(one.id)}@ads"])
    assert only.lane == "ads"
    assert shown(only)["attempts"] == 3
    assert msgspec.json.decode(text_of(only))["messageId"] == one.message_id
    (held,) = entries(house.states, Fits(reason="schema_violation"))
    (kept,) = whole(house.states, [held.ref, held.ref])
    assert shown(kept)["original"] == {"event": "Order"}
    assert shown(kept)["remedy"]
    assert whole(house.states, ["no id", "00000000-0000-0000-0000-000000000000"]) == []


def test_what_came_after_the_decision_is_not_meant():
    house = Quarantine()
    for nth in (1, 2, 3):
        house.put(nth, 0)
    second = [entry.id for entry in entries(house.states, Fits())][1]
    meant = [entry.message_id for entry in chosen(house.states, Choice(Fits("schema_violation"), upto=second))]
    assert meant == ["m2", "m1"]
    assert foresee(house.states, "discard", entries(house.states, Fits()), None)[0].upto > second


def test_acts_go_in_bounded_pieces_by_owner():
    house = Quarantine()
    for nth in range(1, PIECE + 3):
        house.put(nth, 0, body=b'{"n":"' + b"x" * 10_000 + b'"}')
    house.refuse(7)
    found = list(pieces(house.states, entries(house.states, Fits()), None))
    assert sorted((piece.owner, len(piece.entries)) for piece in found) == [
        ("delivery", 1), ("pipeline", 2), ("pipeline", PIECE),
    ]  # fmt: skip
    assert next(piece for piece in found if piece.owner == "delivery").arguments["lanes"] == ["hook"]
    mended = list(
        pieces(
            house.states,
            entries(house.states, Fits(reason="schema_violation")),
            lambda one: one.envelope.letters[0].body,
        )
    )
    assert sum(len(piece.entries) for piece in mended) == PIECE + 2
    assert all(sum(map(len, piece.repaired.values())) <= 4 * 1024 * 1024 for piece in mended)
    assert len(mended) == 3, "ten kilobytes each are more than one job takes"


BODY = b'{"type":"track","event":"Order","messageId":"m","properties":{"total":"12.50","n":1.10,"items":[{"p":"1"},{"p":2}],"on":"yes"}}'


@pytest.mark.parametrize(
    ("step", "path", "value"),
    [
        (Step("set", "properties.currency", '"EUR"'), ("properties", "currency"), "EUR"),
        (Step("set", "context.page.url", '"/"'), ("context", "page", "url"), "/"),
        (Step("rename", "properties.on", "enabled"), ("properties", "enabled"), "yes"),
        (Step("convert", "properties.total", "number"), ("properties", "total"), 12.5),
        (Step("convert", "properties.on", "boolean"), ("properties", "on"), True),
        (Step("convert", "properties.n", "string"), ("properties", "n"), "1.10"),
        (Step("convert", "properties.items[0].p", "integer"), ("properties", "items"), [{"p": 1}, {"p": 2}]),
        (Step("convert", "properties.items[*].p", "string"), ("properties", "items"), [{"p": "1"}, {"p": "2"}]),
        (Step("name", value="Order Completed"), ("event",), "Order Completed"),
        (Step("remove", "properties.items[1]"), ("properties", "items"), [{"p": "1"}]),
    ],
)  # fmt: skip
def test_a_step_does_what_it_says_and_nothing_else(step, path, value):
    assert problems([step]) == []
    after = msgspec.json.decode(mend(BODY, [step]))
    found = after
    for part in path:
        found = found[part]
    assert found == value
    assert type(found) is type(value)
    assert after["messageId"] == "m"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-01-01", "2026-01-01T00:00:00.000Z"),
        (1767268800, "2026-01-01T12:00:00.000Z"),
        ("1767268800000", "2026-01-01T12:00:00.000Z"),
    ],
)
def test_dates_are_read_as_the_road_reads_them(said, meant):
    body = msgspec.json.encode({"properties": {"at": said}})
    assert msgspec.json.decode(mend(body, [Step("convert", "properties.at", "date")]))["properties"]["at"] == meant


@pytest.mark.parametrize(
    "step",
    [
        Step("convert", "properties.on", "number"),
        Step("convert", "properties.items", "number"),
        Step("convert", "properties.total", "integer"),
        Step("convert", "properties.items", "date"),
        Step("rename", "properties.on", "total"),
    ],
)
def test_what_cannot_be_done_is_said_without_the_value(step):
    with pytest.raises(Undone) as undone:
        mend(BODY, [step])
    assert step.path in str(undone.value)
    assert "yes" not in str(undone.value) and "12.50" not in str(undone.value)


@pytest.mark.parametrize(
    ("step", "word"),
    [
        (Step("set", "messageId", '"x"'), "another event"),
        (Step("remove", "messageId.x"), "another event"),
        (Step("set", "properties.x", "EUR"), "quotes"),
        (Step("set", "", "1"), "by its path"),
        (Step("set", "a..b", "1"), "by its path"),
        (Step("set", "a[x]", "1"), "by its path"),
        (Step("rename", "a", " "), "called"),
        (Step("name", value=""), "called"),
        (Step("convert", "a", "money"), "one of"),
    ],
)
def test_a_repair_that_makes_no_sense_is_refused_in_words(step, word):
    (said,) = problems([step])
    assert said.startswith("step 1: ")
    assert word in said


def test_a_repair_has_bounds():
    assert problems([])
    assert "at most" in problems([Step("remove", "a")] * 9)[0]
    with pytest.raises(Undone):
        mend(b"[1]", [Step("remove", "a")])
    with pytest.raises(Undone):
        mend(b"{", [Step("remove", "a")])


texts = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(value=st.dictionaries(st.text(max_size=5), texts, max_size=4))
def test_steps_that_find_nothing_leave_every_byte(value):
    body = msgspec.json.Encoder(decimal_format="number").encode(value)
    steps = [Step("remove", "no such.field"), Step("convert", "nowhere[*].x", "number"), Step("rename", "no such", "x")]
    assert mend(body, steps) is body


@settings(max_examples=100, deadline=None)
@given(value=st.dictionaries(st.text(max_size=5), texts, max_size=4))
def test_what_a_step_is_not_about_keeps_every_digit(value):
    encode_ = msgspec.json.Encoder(decimal_format="number").encode
    decode_ = msgspec.json.Decoder(float_hook=Decimal).decode
    after = decode_(mend(encode_(value), [Step("set", "brandnew", "1")]))
    assert after.pop("brandnew") == 1
    assert encode_(after) == encode_(decode_(encode_(value)))
