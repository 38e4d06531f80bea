"""The newest events, read from the end of a real log; and how persons are named in windows."""

import pytest
from msgspec import Raw

from customhouse.app.windows import live
from customhouse.app.windows.live import LiveOf
from customhouse.app.windows.persons import Persons, known
from customhouse.app.workspace import Workspace
from customhouse.console.flow import Filter
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.envelope import Envelope, Letter, RequestFacts
from customhouse.model.frames import OWED_TOPIC, OwedFrame, OwedRecord, Quarantined, TrailRow, encode
from customhouse.model.outcome import Versions
from customhouse.pipeline.settle import QUARANTINED
from customhouse.state.embedded import EmbeddedState
from customhouse.testing.builders import RECEIVED_AT, event

PERSONS = Persons(b"k" * 32)
ADA = PERSONS.reference("user", "user-1")


def trail(one, fate="routed", detail=""):
    routes = ("lake",) if fate == "routed" else ()
    return TrailRow(one.id, one.position, one.message_id, one.source, one.type, one.name, one.received_at,
                    one.occurred_at, None, fate, "routing", detail, (), "", routes)  # fmt: skip


def held(one, body):
    envelope = Envelope(one.id, "web", "segment", "track", RECEIVED_AT, "", b"", RequestFacts(), [Letter(0, "", body)])
    return Quarantined(one.id, 0, one.position, RECEIVED_AT, "web", "track", one.name, one.message_id, "validation",
                       "schema_violation", "total: expected number", Versions(), envelope)  # fmt: skip


class Pipeline:
    """Writes owed frames as the pipeline does."""

    def __init__(self, workspace):
        self.log = EmbeddedLog(workspace.log)
        self.total = 0

    def judge(self, good=(), bad=(), dropped=(), body=b"{}"):
        self.total += len(good) + len(bad) + len(dropped)
        rows = [trail(one) for one in good]
        rows += [trail(one, "quarantined:schema_violation", "total: expected number") for one in bad]
        rows += [trail(one, "dropped:duplicate") for one in dropped]
        frame = OwedFrame(
            format=1, origin="received", partition=0, first=0, last=0, total=self.total, now=RECEIVED_AT,
            versions=Versions(), postings=[], memory={"dedupe": b"x"}, totals={"lake": self.total}, trail=rows,
            quarantined=[held(one, body) for one in bad],
            owed=[OwedRecord(("lake",), Raw(encode(one))) for one in good],
        )  # fmt: skip
        return self.log.append(OWED_TOPIC, 0, encode(frame), len(good), RECEIVED_AT)


@pytest.fixture
def workspace(tmp_path):
    place = Workspace(tmp_path, tmp_path / ".data")
    place.data.mkdir()
    return place


@pytest.fixture
def pipeline(workspace):
    writing = Pipeline(workspace)
    yield writing
    writing.log.close()


@pytest.fixture
def source(workspace, pipeline):
    reading = LiveOf(workspace, PERSONS)
    yield reading
    reading.close()


def names(rows):
    return [row.event for row in rows]


def test_an_empty_house_is_empty_until_something_was_judged(source, pipeline):
    assert source.empty()
    assert source.newest(Filter(), 10) == {"good": [], "bad": []}
    pipeline.judge([event()])
    assert not source.empty()


def test_events_are_told_with_fate_reason_and_whose_they_are(source, pipeline):
    body = b'{"userId": "user-1", "properties": {"total": "x"}}'
    pipeline.judge([event(position=1)], [event(position=2, name="Broken")], [event(position=3)], body)
    newest = source.newest(Filter(), 10)
    duplicate, good = newest["good"]
    (bad,) = newest["bad"]
    assert (good.event, good.to, good.tone, good.fate) == ("Order Completed", ("lake",), "good", "routed")
    assert good.persons == (ADA, PERSONS.reference("anonymous", "anonymous-1"))
    assert (bad.reason, bad.detail, bad.tone) == ("schema_violation", "total: expected number", "bad")
    assert bad.persons == (ADA,)
    assert (duplicate.fate, duplicate.reason, duplicate.tone, duplicate.persons) == (
        "dropped",
        "duplicate",
        "again",
        (),
    )


@pytest.mark.parametrize("body", [b"", b"not json", b'{"userId": {"a": 1}}', b"[" * 5000])
def test_a_body_that_cannot_be_read_names_nobody(source, pipeline, body):
    pipeline.judge(bad=[event()], body=body)
    assert source.newest(Filter(), 1)["bad"][0].persons == ()


def test_the_first_look_begins_with_what_lies_in_quarantine(workspace, pipeline):
    bad = [event(position=n, name=f"Held {n}") for n in range(3)]
    workspace.state("pipeline").parent.mkdir()
    state = EmbeddedState(workspace.state("pipeline"))
    with state.settle() as transaction:
        for one in bad:
            transaction.put(QUARANTINED, one.id, encode(held(one, b"{}")))
    state.close()
    pipeline.judge([event(position=9)], bad[2:])
    source = LiveOf(workspace, PERSONS)
    assert names(source.newest(Filter(), 10)["bad"]) == ["Held 2", "Held 1", "Held 0"]
    source.close()


def test_it_goes_on_where_it_was_and_reads_nothing_twice(source, pipeline):
    pipeline.judge([event(name="One")])
    assert names(source.newest(Filter(), 10)["good"]) == ["One"]
    pipeline.judge([event(name="Two")])
    pipeline.judge([event(name="Three")])
    assert names(source.newest(Filter(), 10)["good"]) == ["Three", "Two", "One"]
    assert names(source.newest(Filter(), 10)["good"]) == ["Three", "Two", "One"]


def test_the_first_look_begins_near_the_end(workspace, pipeline):
    for turn in range(8):
        pipeline.judge([event(position=turn * 500 + n, name=f"turn {turn}") for n in range(500)])
    source = LiveOf(workspace, PERSONS)
    source.newest(Filter(), 1)
    assert source.flow.seq <= 3000, "the rest of the log was left alone"
    source.close()


def test_who_falls_far_behind_begins_anew_and_says_how_much_was_skipped(source, pipeline, monkeypatch):
    monkeypatch.setattr(live, "_FAR", 300)
    monkeypatch.setattr(live, "_BACK", (100, 0))
    pipeline.judge([event(name="Before")])
    source.newest(Filter(), 1)
    watch = source.flow.watch(Filter())
    for _ in range(10):
        pipeline.judge([event(position=n, name="Flood") for n in range(50)])
    assert "Before" not in names(source.newest(Filter(), 1000)["good"])
    taken = watch.take()
    assert taken.gone + len(taken.good) + taken.hidden["good"] == 500
    assert taken.gone > 300


def test_a_watcher_is_served_from_a_thread_that_ends_when_nobody_watches(source, pipeline, monkeypatch):
    monkeypatch.setattr(live, "_LINGER_SECONDS", 0.0)
    watch = source.watch(Filter(event="wanted"), "")
    thread = source._thread
    pipeline.judge([event(name="Other"), event(position=2, name="Wanted")])
    while (taken := watch.take()) is None:
        assert thread.is_alive()
    assert names(taken.good) == ["Wanted"]
    watch.leave()
    thread.join(10)
    assert not thread.is_alive()
    again = source.watch(Filter(), source.flow.place)
    pipeline.judge([event(name="Later")])
    while (taken := again.take()) is None:
        assert source._thread.is_alive()
    assert names(taken.good) == ["Later"]


def test_a_damaged_frame_is_stepped_over(source, pipeline, workspace):
    pipeline.judge([event(name="One")])
    source.newest(Filter(), 1)
    broken = pipeline.judge([event(name="Two")])
    pipeline.judge([event(name="Three")])
    segment = next((workspace.log / OWED_TOPIC / "0").glob("*.seg"))
    content = segment.read_bytes()
    with segment.open("r+b") as file:
        file.seek(content.index(broken.body) + 5)
        file.write(b"\xff\xff\xff")
    source.newest(Filter(), 10)
    assert names(source.newest(Filter(), 10)["good"]) == ["Three", "One"]


def test_a_reference_tells_the_same_person_and_not_who_it_is():
    assert PERSONS.reference("user", "ada") == PERSONS.reference("user", "ada")
    others = [
        PERSONS.reference("anonymous", "ada"), PERSONS.reference("user", "bob"), Persons(b"x" * 32).reference("user", "ada")
    ]  # fmt: skip
    assert PERSONS.reference("user", "ada") not in others
    assert "ada" not in PERSONS.reference("user", "ada")
    assert PERSONS.references(" ada ") == (PERSONS.reference("user", "ada"), PERSONS.reference("anonymous", "ada"))
    assert PERSONS.references(ADA) == (ADA,)
    assert PERSONS.references("") == ()
    assert known(f"{ADA},ada@example.com,p_XYZ,") == (ADA,)
