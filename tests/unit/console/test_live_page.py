"""The Live page without a browser: the flow behind it, its filters, its stream, and what it says when nothing has come."""

import asyncio
import json
import socket

import pytest
from desks import Client

from customhouse.console import serve
from customhouse.console.config import ConsoleConfig
from customhouse.console.flow import FIRST_SHOWN, RING, SHOWN, Filter, Flow, LiveRow
from customhouse.console.pages.live import FirstSteps, live_page
from customhouse.console.snippets import snippets
from customhouse.console.streams import MOST, Streams, message

ADA, BOB = "p_0123456789abcdef", "p_fedcba9876543210"


def row(number, *, bad=False, **more):
    said = {"reason": "schema_violation", "detail": "total: expected number"} if bad else {"to": ("lake",)}
    return LiveRow(
        **{
            "id": f"0190163d-8694-739b-aea5-{number:012d}", "at": 1_767_268_800_000_000 + number, "source": "web",
            "type": "track", "event": "Order", "bad": bad, "tone": "bad" if bad else "good",
            "fate": "quarantined" if bad else "routed", "persons": (ADA,),
        } | said | more
    )  # fmt: skip


class Source:
    def __init__(self, *rows):
        self.flow = Flow()
        self.flow.add(list(rows))
        self.watches = []

    def newest(self, wanted, most):
        return self.flow.newest(wanted, most)

    def watch(self, wanted, place):
        self.watches.append(self.flow.watch(wanted, place))
        return self.watches[-1]

    def persons(self, typed):
        return (ADA, BOB) if typed == "ada@example.com" else ()

    def known(self, text):
        return tuple(part for part in text.split(",") if part in (ADA, BOB))

    def empty(self):
        return self.flow.seq == 0

    def first_steps(self):
        return FirstSteps(host="127.0.0.1", port=8080, source="web", key="", key_place="file:secrets/web.key")


def console(*rows, streams=None):
    source = Source(*rows)
    client = Client(lambda desk: live_page(desk, source, streams or Streams()))
    client.source = source
    return client


# The flow.


def test_a_flood_of_good_events_does_not_wash_away_a_bad_one():
    flow = Flow()
    flow.add([row(0, bad=True), *(row(n) for n in range(1, 3 * RING))])
    newest = flow.newest(Filter(), 5000)
    assert [each.seq for each in newest["bad"]] == [1]
    assert len(newest["good"]) == RING and newest["good"][0].seq == 3 * RING


def test_a_watcher_gets_a_bounded_share_and_an_honest_count():
    flow = Flow()
    watch = flow.watch(Filter())
    flow.add([row(1)])
    assert len(watch.take().good) == 1
    flow.add([row(n, bad=n % 10 == 0) for n in range(1000)])
    taken = watch.take()
    assert (len(taken.good), len(taken.bad)) == (SHOWN, SHOWN)
    assert taken.hidden == {"good": 900 - SHOWN, "bad": 100 - SHOWN}
    assert [each.seq for each in taken.good] == sorted(each.seq for each in taken.good)
    assert taken.good[-1].seq == 1001
    assert watch.take() is None


def test_a_slow_watcher_holds_nothing_but_its_share():
    flow = Flow()
    watch = flow.watch(Filter())
    for turn in range(100):
        flow.add([row(turn * 100 + n) for n in range(100)])
    taken = watch.take()
    assert len(taken.good) == SHOWN and taken.hidden["good"] == 10_000 - SHOWN


def test_a_rare_event_is_found_in_a_flood():
    flow = Flow()
    watch = flow.watch(Filter(event="checkout"))
    flow.add([row(n) for n in range(5000)] + [row(1, event="Checkout Started")] + [row(n) for n in range(5000)])
    taken = watch.take()
    assert [each.event for each in taken.good] == ["Checkout Started"]
    assert taken.hidden == {"good": 0, "bad": 0}


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Filter(), True),
        (Filter(source="WE"), True),
        (Filter(source="app"), False),
        (Filter(event="ord"), True),
        (Filter(event="checkout"), False),
        (Filter(reason="schema"), True),
        (Filter(reason="total"), True),
        (Filter(reason="poison"), False),
        (Filter(person=(BOB, ADA)), True),
        (Filter(person=(BOB,)), False),
        (Filter(only="bad"), True),
        (Filter(only="good"), False),
        (Filter(only="bad", source="web", event="order", reason="schema", person=(ADA,)), True),
        (Filter(only="bad", source="web", event="order", reason="schema", person=(BOB,)), False),
    ],
)
def test_filters(wanted, fits):
    assert wanted.fits(row(1, bad=True)) is fits


def test_who_comes_back_goes_on_where_they_were_and_hears_what_went_by():
    flow = Flow()
    flow.add([row(n) for n in range(10)])
    place = flow.place
    flow.add([row(10), row(11, bad=True)])
    taken = flow.watch(Filter(), place).take()
    assert ([each.seq for each in taken.good], [each.seq for each in taken.bad], taken.gone) == ([11], [12], 0)
    flow.add([row(n) for n in range(RING + 500)])
    taken = flow.watch(Filter(), place).take()
    assert len(taken.good) == FIRST_SHOWN
    assert taken.gone == 501, "the one good row of before and five hundred of the flood left the ring"
    assert flow.watch(Filter(), "another.3").take() is None
    assert flow.watch(Filter(), "nonsense").take() is None


def test_what_was_skipped_is_told_and_leaves_no_hole_in_the_list():
    flow = Flow()
    flow.add([row(1)])
    watch = flow.watch(Filter())
    flow.skip(7)
    assert watch.take().gone == 7
    assert flow.newest(Filter(), 10)["good"] == []


def test_who_leaves_is_forgotten():
    flow = Flow()
    watch = flow.watch(Filter())
    assert flow.watched
    watch.leave()
    assert not flow.watched


# The page.


def test_the_page_shows_the_newest_without_any_script_and_escapes_what_clients_sent():
    client = console(row(1, event="<script>alert(1)</script>"), row(2, bad=True))
    got = client.get("/live")
    assert got.status == 200
    assert "<script>alert" not in got.text and "&lt;script&gt;alert" in got.text
    assert "schema_violation" in got.text and "total: expected number" in got.text
    assert "The event breaks its schema" in got.text
    assert f"/events/{row(2).id}" in got.text and f"/live?person={ADA}" in got.text
    assert "owed to lake" in got.text


def test_an_empty_page_says_how_to_send_the_first_event_and_where_the_key_stands():
    got = console().get("/live")
    for words in ("No event has come yet", "curl -u YOUR_WRITE_KEY:", "secrets/web.key", "http://127.0.0.1:8080",
                  "Segment", "RudderStack", "dataPlaneUrl", "configUrl", "cdnURL"):  # fmt: skip
        assert words in got.text


def test_a_filter_that_leaves_nothing_is_not_taken_for_an_empty_house():
    got = console(row(1)).get("/live?event=nothing")
    assert "No event has come yet" not in got.text and "None of the newest events fits" in got.text


@pytest.mark.parametrize("query", ["only=sideways", "person=ada", "after=..", "event=%00", "source=" + "x" * 5000])
def test_nonsense_in_the_address_does_no_harm(query):
    assert console(row(1)).get(f"/live?{query}").status == 200


def test_the_same_rows_are_served_as_json_and_csv():
    client = console(row(1), row(2, bad=True), row(3, source="app"))
    assert [each["event_id"] for each in client.get("/live.json").json()] == [row(3).id, row(2).id, row(1).id]
    assert [each["reason"] for each in client.get("/live.json?only=bad").json()] == ["schema_violation"]
    assert client.get("/live.csv?source=app").text.splitlines()[1].count(row(3).id) == 1


def test_a_person_is_posted_and_answered_by_a_reference():
    client = console(row(1))
    got = client.post("/live/person", {"id": "ada@example.com", "event": "order", "only": "good"})
    assert got.status == 303
    assert "ada" not in got.headers["location"]
    assert got.headers["location"].startswith("/live?event=order&person=p_")
    assert client.post("/live/person", {"id": "ada@example.com"}, proof=False).status == 403
    assert client.post("/live/person", {"id": ""}).headers["location"] == "/live"


def test_a_key_is_shown_as_it_is_and_quoted_for_each_language():
    steps = FirstSteps(host="0.0.0.0", port=8080, source="web", key='it\'s "k"', key_place="")
    lines = {(each.family, each.title): each.code for each in snippets(steps, "tracker.example")}
    assert "curl -u 'it'\"'\"'s \"k\":' http://tracker.example:8080/v1/track" in lines["", "With curl"]
    assert 'writeKey: "it\'s \\"k\\""' in lines["Segment", "Node"]


# The stream.


async def _listen(client, path, beats, *, act=None, headers=()):
    """Ask for a stream, read so many pieces of its body, and leave. Returns status and pieces."""
    pieces, started, gone, enough = [], {}, asyncio.Event(), asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(said):
        if said["type"] == "http.response.start":
            started.update(said)
            return
        if said["body"]:
            pieces.append(said["body"])
        if len(pieces) >= beats or not said.get("more_body"):
            enough.set()

    path, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "root_path": "", "server": ("127.0.0.1", 8081), "client": ("127.0.0.1", 4),
        "headers": [(b"host", b"127.0.0.1:8081"), *headers],
    }  # fmt: skip
    task = asyncio.create_task(client.app(scope, receive, send))
    if act:
        await act()
    await asyncio.wait_for(enough.wait(), 10)
    gone.set()
    await asyncio.wait_for(task, 10)
    return started, pieces


def test_a_stream_goes_on_from_where_the_page_was_and_ends_when_the_browser_goes(monkeypatch):
    monkeypatch.setattr("customhouse.console.streams.TICK_SECONDS", 0.01)
    client = console(row(1))
    place = client.source.flow.place
    client.source.flow.add([row(2), row(3, bad=True)])
    started, pieces = asyncio.run(_listen(client, f"/live/stream?after={place}", 2))
    headers = dict(started["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream") and headers[b"cache-control"] == b"no-store"
    lines = pieces[1].decode().splitlines()
    assert lines[0] == f"id: {client.source.flow.epoch}.3" and lines[1] == "event: rows"
    said = json.loads(lines[2].removeprefix("data: "))
    assert (len(said["good"]), len(said["bad"]), said["hidden"], said["gone"]) == (1, 1, {"good": 0, "bad": 0}, 0)
    assert row(3).id in said["bad"][0]
    assert not client.source.flow.watched


def test_a_browser_that_comes_back_is_believed_about_its_place(monkeypatch):
    monkeypatch.setattr("customhouse.console.streams.TICK_SECONDS", 0.01)
    client = console(*(row(n) for n in range(5)))
    last = f"{client.source.flow.epoch}.4".encode()
    _, pieces = asyncio.run(_listen(client, "/live/stream?after=old.1", 2, headers=[(b"last-event-id", last)]))
    assert len(json.loads(pieces[1].decode().splitlines()[2].removeprefix("data: "))["good"]) == 1


def test_a_browser_from_before_a_restart_is_told_to_look_anew(monkeypatch):
    monkeypatch.setattr("customhouse.console.streams.TICK_SECONDS", 0.01)
    _, pieces = asyncio.run(_listen(console(row(1)), "/live/stream?after=old.1", 2))
    assert pieces[1] == message("anew", {})


def test_a_quiet_stream_has_a_heartbeat_and_says_what_is_wrong(monkeypatch):
    monkeypatch.setattr("customhouse.console.streams.TICK_SECONDS", 0.01)
    monkeypatch.setattr("customhouse.console.streams.HEARTBEAT_SECONDS", 0.02)
    client = console(row(1))
    client.source.flow.trouble = "the log cannot be read"
    _, pieces = asyncio.run(_listen(client, "/live/stream", 3))
    assert pieces[1] == message("trouble", {"words": "the log cannot be read"})
    assert pieces[2].startswith(b": ")


def test_there_are_so_many_streams_and_no_more_and_all_end_with_the_house():
    streams = Streams()
    client = console(row(1), streams=streams)

    async def crowd():
        watching = [asyncio.create_task(_listen(client, "/live/stream", 99)) for _ in range(MOST)]
        for _ in range(100 * MOST):
            await asyncio.sleep(0)
        assert streams.full
        started, pieces = await _listen(client, "/live/stream", 1)
        assert started["status"] == 503 and b"so many people watch" in pieces[0]
        streams.end()
        ended = await asyncio.gather(*watching)
        assert [said["status"] for said, _ in ended] == [200] * MOST

    asyncio.run(crowd())
    assert not client.source.flow.watched


def _slow(client, release):
    """Ask for a stream, and read nothing of it after the first line until released. Returns what was read."""
    pieces = []

    async def receive():
        await asyncio.Event().wait()

    async def send(said):
        pieces.append(said.get("body", b""))
        if len(pieces) > 2:
            await release.wait()

    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/live/stream",
        "raw_path": b"/live/stream", "query_string": b"", "root_path": "", "server": ("127.0.0.1", 8081),
        "client": ("127.0.0.1", 4), "headers": [(b"host", b"127.0.0.1:8081")],
    }  # fmt: skip
    return asyncio.create_task(client.app(scope, receive, send)), pieces


async def _until(holds):
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


def test_a_browser_that_reads_slowly_loses_rows_and_is_told_how_many(monkeypatch):
    monkeypatch.setattr("customhouse.console.streams.TICK_SECONDS", 0.01)
    streams = Streams()
    client = console(row(1), streams=streams)

    async def watch():
        release = asyncio.Event()
        task, pieces = _slow(client, release)
        await _until(lambda: client.source.flow.watched)
        client.source.flow.add([row(2)])
        await _until(lambda: len(pieces) == 3)
        for turn in range(50):
            client.source.flow.add([row(turn * 100 + n) for n in range(100)])
        release.set()
        await _until(lambda: len(pieces) == 4)
        streams.end()
        await task
        return json.loads(pieces[3].decode().splitlines()[2].removeprefix("data: "))

    said = asyncio.run(watch())
    assert (len(said["good"]), said["hidden"]["good"]) == (SHOWN, 5000 - SHOWN)


def test_a_browser_that_does_not_read_at_all_is_let_go(monkeypatch):
    monkeypatch.setattr("customhouse.console.streams.TICK_SECONDS", 0.01)
    monkeypatch.setattr("customhouse.console.streams._PATIENCE_SECONDS", 0.05)
    client = console(row(1))

    async def watch():
        task, _ = _slow(client, asyncio.Event())
        await _until(lambda: client.source.flow.watched)
        client.source.flow.add([row(2)])
        await asyncio.wait_for(task, 10)

    asyncio.run(watch())
    assert not client.source.flow.watched


def test_answers_are_sent_at_once():
    listening = serve._listen(ConsoleConfig(port=0))
    with listening:
        assert listening.proto == socket.IPPROTO_TCP, "or asyncio leaves small pieces to wait for an acknowledgement"
