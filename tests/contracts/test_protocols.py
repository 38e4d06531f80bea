"""What every wire protocol must do, whatever its family."""

import base64
import gzip
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.model.contracts import Limits, Opened, Refusal, Route
from customhouse.model.envelope import Envelope, Letter, RequestFacts, event_id
from customhouse.model.event import TYPES, Event
from customhouse.model.http import Request
from customhouse.model.outcome import Quarantine
from customhouse.model.reasons import REASONS
from customhouse.protocols.rudderstack import RudderStack
from customhouse.protocols.segment import Segment
from customhouse.wire.compression import inflate
from customhouse.wire.ids import as_id

SHARED = Path(__file__).parents[3] / "shared" / "vectors"
LIMITS = Limits()
BASE = bytes(14) + b"\xf0\x00"
PROTOCOLS = [Segment(), RudderStack()]
INGEST = [(p, r) for p in PROTOCOLS for r in p.routes if r.ingest]
OTHERS = [(p, r) for p in PROTOCOLS for r in p.routes if not r.ingest]


def named(value):
    return f"{value.method} {value.path}" if isinstance(value, Route) else value.name


def request(body=b"", headers=None, route=None, query=""):
    return Request("POST", route.path if route else "/v1/batch", query, headers or {}, body, "127.0.0.1")


def envelope(protocol, route, opened):
    return Envelope(
        BASE, "s", protocol.name, route.word, 1, opened.sent_at, opened.shared, RequestFacts(), opened.letters
    )


def read(protocol, route, opened):
    return protocol.read(envelope(protocol, route, opened), opened.letters, range(100, 100 + len(opened.letters)))


def batch_route(protocol):
    return next(r for r in protocol.routes if r.word == "batch")


def vectors(name):
    path = SHARED / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def needs(name):
    return pytest.mark.skipif(not (SHARED / name).exists(), reason=f"the shared vectors ({name}) are not here")


@pytest.mark.parametrize(("protocol", "route"), INGEST, ids=named)
@given(body=st.binary(), head=st.text(), query=st.text())
def test_never_raises_on_any_bytes(protocol, route, body, head, query):
    headers = {"authorization": head, "anonymousid": head, "sentat": head}
    for text in (body, b'{"batch":[' + body + b"]}", b'{"type":"track","properties":' + body + b"}"):
        asked = request(text, headers, route, query)
        assert isinstance(protocol.key(asked, route), str)
        opened = protocol.open(asked, route, LIMITS)
        if isinstance(opened, Refusal):
            assert REASONS[opened.reason].kind == "refused"
            continue
        assert isinstance(protocol.visitor(opened), str)
        answers = read(protocol, route, opened)
        assert len(answers) == len(opened.letters)
        assert all(isinstance(answer, Event | Quarantine) for answer in answers)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("type", "event", "name", "category", "messageId", "userId", "anonymousId", "groupId", "previousId")
FIELDS += ("originalTimestamp", "timestamp", "sentAt", "properties", "traits", "context", "integrations", "writeKey")


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
@given(
    events=st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON, min_size=1, max_size=3),
    shared=st.dictionaries(st.sampled_from(FIELDS), JSON),
    word=st.sampled_from([*TYPES, "batch", "import"]),
)
def test_one_answer_per_letter_in_order_whatever_the_fields_hold(protocol, events, shared, word):
    route = next(r for r in protocol.routes if r.word == word)
    if word not in {"batch", "import"}:
        events, body = [events[0]], json.dumps(events[0]).encode()
    else:
        body = json.dumps({**shared, "batch": events}).encode()
    opened = protocol.open(request(body, route=route), route, LIMITS)
    if isinstance(opened, Refusal):
        assert not isinstance(events[0], dict)
        return
    assert [letter.nth for letter in opened.letters] == list(range(len(events)))
    said = [event.get("anonymousId") for event in (*events, shared) if isinstance(event, dict)]
    assert protocol.visitor(opened) in {"", *(as_id(id_) for id_ in said)}
    answers = read(protocol, route, opened)
    assert answers == read(protocol, route, opened)
    for nth, answer in enumerate(answers):
        if isinstance(answer, Quarantine):
            assert REASONS[answer.reason].kind == "quarantined"
            continue
        assert (answer.id, answer.position) == (event_id(BASE, nth), 100 + nth)
        assert answer.type in TYPES and 0 <= answer.fingerprint < 2**63 and answer.message_id
        assert all(REASONS[flag].kind == "flag" for flag in answer.flags)
        for part in (answer.properties, answer.traits, answer.context, answer.integrations):
            assert isinstance(msgspec.json.decode(part), dict)


@pytest.mark.parametrize(("protocol", "route"), INGEST, ids=named)
def test_accepts_with_exactly_200(protocol, route):
    reply = protocol.accepted(route)
    assert reply.status == 200
    if reply.content_type == "application/json":
        msgspec.json.decode(reply.body)


@pytest.mark.parametrize("reason", [word for word, reason in REASONS.items() if reason.kind == "refused"])
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
def test_refuses_in_json_with_code_and_message_and_reflects_nothing(protocol, reason):
    route = protocol.routes[0]
    reply = protocol.refused(Refusal(reason, detail="<marker>", retry_after=7), route)
    body = msgspec.json.decode(reply.body)
    assert body["code"] == reason and body["message"]
    assert reply.content_type == "application/json" and b"marker" not in reply.body
    assert 400 <= reply.status < 600 and reply.status != 429
    assert (("Retry-After", "7") in reply.headers) == (reply.status == 503)


@pytest.mark.parametrize(("protocol", "route"), OTHERS, ids=named)
def test_answers_what_is_not_ingest(protocol, route):
    asked = Request(route.method, route.path.format("WK"), "", {"host": "in.example:8080"}, b"", "")
    reply = protocol.answer(asked, route, 'W"K')
    assert reply.status == 200
    msgspec.json.decode(reply.body)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
def test_flaws_are_of_single_letters(protocol):
    limits = Limits(event_bytes=200, depth=4)
    good = b'{"type":"track","event":"E","userId":"u"}'
    large = b'{"type":"track","event":"%b","userId":"u"}' % (b"x" * 200)
    deep = b'{"type":"track","event":"E","userId":"u","properties":{"a":[[[1]]]}}'
    route = batch_route(protocol)
    body = b'{"batch":[%b]}' % b",".join((good, large, deep, b"5", b'{"x":tru}', good))
    opened = protocol.open(request(body), route, limits)
    flaws = ["", "event_too_large", "event_too_deep", "event_unreadable", "event_unreadable", ""]
    assert [letter.flaw for letter in opened.letters] == flaws
    assert [letter.body for letter in opened.letters] == [good, large, deep, b"5", b'{"x":tru}', good]
    answers = read(protocol, route, opened)
    assert [getattr(answer, "reason", "") for answer in answers] == flaws


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "body_missing"),
        (b"[]", "body_not_json"),
        (b'{"batch":{}}', "body_not_json"),
        (b'{"batch":[{}', "body_not_json"),
        (b"{}", "body_not_json"),
        (b'{"batch":[]}', "batch_empty"),
        (b'{"batch":[1,2,3,4]}', "batch_too_long"),
        (b'{"batch":[1,2,NaN,4]}', "batch_too_long"),
        (b'{"batch":[{}],"context":{"a":"%b"}}' % (b"x" * 40_000), "body_too_large"),
        (b'{"batch":[{}],"context":{"a":%b}}' % (b"[" * 70 + b"]" * 70), "body_not_json"),
    ],
    ids=range(10),
)
def test_refusals_of_whole_batches(protocol, body, reason):
    opened = protocol.open(request(body), batch_route(protocol), Limits(batch_events=3))
    assert isinstance(opened, Refusal) and opened.reason == reason


def test_replays_say_so():
    letter = Letter(3, "u", b'{"type":"track","event":"E","userId":"u"}', "", 42)
    for protocol in PROTOCOLS:
        event = read(protocol, batch_route(protocol), Opened([letter]))[0]
        assert event.replay_of == 42 and event.position == 100 and event.id == event_id(BASE, 3)
        assert "replayed" in event.flags


def body_of(case):
    return base64.b64decode(case["input"]["body_b64"])


@needs("json_parser.jsonl")
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
def test_any_json_in_properties_is_read_or_kept_and_harms_no_neighbour(protocol):
    good = b'{"type":"track","event":"Good","userId":"u"}'
    route = batch_route(protocol)
    refused = 0
    for case in vectors("json_parser.jsonl"):
        body = body_of(case)
        odd = b'{"type":"track","event":"Odd","userId":"u","properties":{"x":%b}}' % body
        opened = protocol.open(request(b'{"batch":[%b,%b,%b]}' % (good, odd, good)), route, LIMITS)
        if isinstance(opened, Refusal):
            # Its brackets or quotes do not close, so nobody can say where the event ends.
            assert case["expect"]["class"] != "y" and opened.reason in {"body_not_json", "batch_too_long"}
            refused += 1
            continue
        answers = read(protocol, route, opened)
        assert (answers[0].name, answers[-1].name) == ("Good", "Good"), case["id"]
        if case["expect"]["class"] == "y":
            assert isinstance(answers[1], Event) and answers[1].flags == ("message_id_missing", "time_missing")
            # Read as the parser's own test suite says: by value.
            assert json.loads(answers[1].properties) == json.loads(b'{"x":%b}' % body)
    assert 0 < refused < 100


@needs("naughty.jsonl")
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
def test_naughty_strings_come_out_as_they_went_in(protocol):
    route = batch_route(protocol)
    for case in vectors("naughty.jsonl"):
        text = case["input"]["string"]
        event = {"type": "track", "event": f"x{text}", "userId": "u", "properties": {"p": text, text: 1}}
        for ascii_only in (True, False):
            body = json.dumps({"batch": [event]}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
            answer = read(protocol, route, protocol.open(request(body), route, LIMITS))[0]
            assert answer.name == f"x{text}"
            assert json.loads(answer.properties) == event["properties"]


CAPTURES = sorted(
    path.name
    for pattern in ("*segment*", "analytics-node*", "*rudder*")
    for path in (SHARED / "wire").glob(f"{pattern}.jsonl")
)


@pytest.mark.skipif(not CAPTURES, reason="the shared captures (vectors/wire) are not here")
@pytest.mark.parametrize("capture", CAPTURES)
def test_recorded_requests_of_official_sdks_are_read(capture):
    protocol = PROTOCOLS["rudder" in capture]
    routes = {(r.method, r.path): r for r in protocol.routes}
    ingested = 0
    for record in vectors(f"wire/{capture}"):
        headers = {name.lower(): value for name, value in record["headers"]}
        body = base64.b64decode(record["body_base64"])
        path = record["path"].rstrip("/")
        route = routes.get((record["method"], path.replace("WK_test", "{}")))
        if record["method"] == "OPTIONS":
            continue
        assert route, path
        body = inflate(body, headers.get("content-encoding", ""), LIMITS)
        asked = Request(record["method"], record["path"], record["query"], headers, body, "")
        assert protocol.key(asked, route) == "WK_test"
        if route.ingest:
            ingested += check_events(protocol, route, asked)
    assert ingested


def check_events(protocol, route, asked):
    opened = protocol.open(asked, route, LIMITS)
    data = json.loads(asked.body)
    sent = data["batch"] if route.word == "batch" else [data]
    answers = read(protocol, route, opened)
    for one, event in zip(sent, answers, strict=True):
        assert isinstance(event, Event), event
        assert event.type == (one["type"] if route.word == "batch" else route.word)
        assert event.message_id == one["messageId"]
        assert (event.user_id or "") == (one.get("userId") or "")
        assert (event.anonymous_id or "") == (one.get("anonymousId") or "")
        assert event.order_key == (one.get("anonymousId") or one.get("userId"))
        assert event.original_at and event.sent_at
        assert set(event.flags) <= {"json_repaired"}
        if event.type == "track":
            assert event.name == one["event"]
        if event.type == "identify":
            assert json.loads(event.traits).get("email") == "a@example.com"
    return len(answers)


def test_a_gzipped_body_opens_after_it_is_unpacked():
    body = gzip.compress(b'{"batch":[{"type":"track","event":"E","userId":"u"}],"sentAt":"2026-11-22T10:00:00Z"}')
    for protocol in PROTOCOLS:
        opened = protocol.open(request(inflate(body, "", LIMITS)), batch_route(protocol), LIMITS)
        assert (len(opened.letters), opened.sent_at) == (1, "2026-11-22T10:00:00Z")
