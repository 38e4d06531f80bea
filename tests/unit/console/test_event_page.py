"""The Event page without a browser: what it tells, what it marks, and that a masked page holds nothing of a person."""

import hashlib
import json

import msgspec
import pytest
from desks import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.console.pages.event import Facts, Told, event_page
from customhouse.console.pretty import differences, lines
from customhouse.ledger.explain import Answered, Passage, story
from customhouse.model.errors import Unavailable

NOON = 1_767_268_800_000_000
ID = "019b7972-0e00-7000-8000-000000000001"
MARKER = "Xyzzyplugh"
ROUTED = Passage(
    event_id=ID, message_id="m-1", source="web", type="track", event="Order Completed", received_at=NOON,
    occurred_at=NOON - 2_000_000, original_at=NOON - 3_000_000, fate="routed", stage="routing", detail="", flags=(),
    schema_version="1.2.0", routes=("hook",), partition=0, position=7, owed_position=3, judged_at=NOON, config=4, plan=2,
)  # fmt: skip
RAW = {
    "type": "track", "event": "Order Completed", "messageId": "m-1", "userId": "u-4711",
    "properties": {"total": "12,50", "products": [{"price": 1}, {"price": "x"}]},
}  # fmt: skip
CANONICAL = {
    "event_id": ID, "type": "track", "event": "Order Completed", "message_id": "m-1", "user_id": "u-4711",
    "anonymous_id": None, "properties": {"total": 12.5}, "traits": {}, "context": {"locale": "en-GB"},
    "integrations": {}, "violations": [],
}  # fmt: skip


def told(passage=ROUTED, answers=(), **more):
    usual = {
        "story": story([passage], answers), "raw": RAW, "raw_text": "", "raw_note": "from the log received",
        "facts": Facts(protocol="segment", route="track"), "canonical": CANONICAL, "canonical_note": "from the lake",
    }  # fmt: skip
    return Told(**(usual | more))


class Source:
    def __init__(self, *found, noted=True):
        self.found = list(found)
        self.noted = noted
        self.asked = []
        self.revealed = []

    def find(self, text):
        self.asked.append(text)
        return self.found

    def reveal(self, event):
        if not self.noted:
            raise Unavailable("the audit cannot be written")
        self.revealed.append(event)

    def refer(self, kind, person):
        return "p_" + hashlib.sha256(f"{kind} {person}".encode()).hexdigest()[:16]


def console(*found, **more):
    source = Source(*found, **more)
    client = Client(lambda desk: event_page(desk, source))
    client.source = source
    return client


def bad(detail):
    return told(
        Passage(**{name: getattr(ROUTED, name) for name in ROUTED.__struct_fields__} | {
            "fate": "quarantined:schema_violation", "stage": "validation", "detail": detail, "owed_position": None}),
        canonical=None, canonical_note="It was never owed to anybody.",
    )  # fmt: skip


def test_the_way_is_told_with_what_each_station_wrote():
    got = console(told(answers=[Answered(lane="hook", verdict="delivered", at=NOON, answer="200 OK")])).get(
        f"/events/{ID}"
    )
    assert got.status == 200
    for words in ("door", "occurred_at", "schema_version", "routes", "delivered: 200 OK", "context.locale"):
        assert words in got.text


def test_what_is_wrong_is_marked_where_it_stands_also_what_is_missing():
    got = console(
        bad(
            "products[1].price: expected number, came string; total: expected number; currency: is required and missing"
        )
    )
    text = got.get(f"/events/{ID}").text
    marks = [part.partition("</mark>")[0] for part in text.split("<mark")[1:]]
    assert len(marks) == 3
    assert any("&#34;total&#34;" in mark for mark in marks) and any("&#34;currency&#34;" in mark for mark in marks)
    assert any("&#34;price&#34;: &#34;x&#34;" in mark for mark in marks)
    assert "/quarantine?reason=schema_violation&amp;event=Order+Completed" in text


def test_nobody_knows_an_id_says_what_to_do():
    got = console().get("/events/unheard-of")
    assert got.status == 404
    assert "No event is known by that id" in got.text and "customhouse balance" in got.text
    assert console().get("/events/unheard-of.json").status == 404


@pytest.mark.parametrize("asked", [ID, "m-1", "0:1042+15", "a/b", "x%2Fy", "%00", "x" * 5000])
def test_any_id_may_be_asked_for(asked):
    client = console(told())
    assert client.get(f"/events/{asked}").status == 200
    assert len(client.source.asked[0]) <= 600


def test_several_events_of_one_id_are_listed():
    assert "2 events go by this id" in console(told(), told()).get("/events/m-1").text


def test_the_form_leads_on_and_keeps_persons_out_of_addresses():
    client = console(told())
    assert client.post("/events/find", {"id": " 0:7+2/x "}).headers["location"] == "/events/0%3A7%2B2%2Fx"
    got = client.post("/events/find", {"id": "ada@example.com"})
    assert got.status == 422 and "ada@" not in got.text
    assert client.post("/events/find", {"id": "x"}, proof=False).status == 403


def test_who_asks_sees_it_once_and_leaves_a_line_first():
    client = console(told())
    assert "u-4711" not in client.get(f"/events/{ID}").text
    got = client.post(f"/events/{ID}/reveal")
    assert got.status == 200 and "u-4711" in got.text and got.headers["cache-control"] == "no-store"
    assert client.source.revealed == [ID]
    assert "u-4711" not in client.get(f"/events/{ID}").text


def test_without_a_line_in_the_audit_or_a_proof_nothing_is_shown():
    client = console(told(), noted=False)
    got = client.post(f"/events/{ID}/reveal")
    assert got.status == 503 and "u-4711" not in got.text
    assert console(told()).post(f"/events/{ID}/reveal", proof=False).status == 403
    other = console(told())
    assert other.post("/events/m-1/reveal").status == 404, "only our own ids get into the audit"
    assert other.source.revealed == []


personal = st.sampled_from([
    {"raw": RAW | {"userId": MARKER}},
    {"raw": RAW | {"anonymousId": MARKER, "context": {"traits": {"name": MARKER}, "ip": MARKER}}},
    {"raw": RAW | {"traits": {"a": {"b": [MARKER]}}}},
    {"raw": RAW | {"properties": {"customer": {"x": MARKER}, "deep": [[{"e_mail": MARKER}]]}}},
    {"raw": RAW | {"properties": {f"{MARKER}@example.com": 1}}},
    {"raw": None, "raw_text": f"{{broken {MARKER}"},
    {"raw": [MARKER + "@example.com"]},
    {"story": msgspec.structs.replace(story([ROUTED], []), message_id=f"{MARKER}@example.com")},
    {"canonical": CANONICAL | {"user_id": MARKER, "traits": {"name": MARKER}}},
    {"canonical": CANONICAL | {"context": {"traits": {"name": MARKER}}, "properties": {"email": MARKER}}},
    {"facts": Facts(protocol="segment", request={"ip": MARKER, "cookies": {"_fbp": MARKER}, "anonymous_id": MARKER})},
    {"facts": Facts(protocol="segment", request={"query": f"?mail={MARKER}", "referer": f"https://x.example/?q={MARKER}"})},
    {"facts": Facts(protocol="segment", shared={"context": {"traits": {"name": MARKER}}})},
])  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(plants=st.lists(personal, min_size=1, max_size=3))
def test_a_masked_page_and_its_json_hold_nothing_that_was_planted_in_a_personal_place(plants):
    echo = Answered(
        lane="hook", verdict="rejected", reason="destination_refused", answer=f"no such person: {MARKER}", at=NOON
    )
    name = {"raw": RAW | {"traits": {"name": MARKER}}}
    found = [told(answers=[echo], **(name | plant)) if "raw" not in plant else told(**plant) for plant in plants]
    client = console(*found)
    for path in (f"/events/{ID}", f"/events/{ID}.json"):
        assert MARKER not in client.get(path).text


def test_the_story_is_served_as_json():
    (got,) = console(told()).get(f"/events/{ID}.json").json()
    assert (got["event_id"], got["state"], got["canonical"]["properties"]) == (ID, "waiting", {"total": 12.5})


def test_pretty_lines_are_the_json_and_bounded():
    value = {"a": [1, {"b": "é"}], "c": {}, "d": [], "e": None, "f": "x" * 10}
    assert json.loads("".join(line.text for line in lines(value, {}))) == value
    assert len(lines(list(range(10_000)), {})) == 2001
    assert "(9,000 characters)" in lines("y" * 9000, {})[0].text


def test_differences_are_told_by_path_in_order():
    before, after = {"a": 1, "b": {"c": [1]}, "d": 4}, {"b": {"c": [2], "n": 0}, "d": 4}
    assert differences(before, after) == [("a", 1, None), ("b.c", [1], [2]), ("b.n", None, 0)]
    assert len(differences({}, {str(n): n for n in range(1000)})) == 60
    assert json.dumps(differences({}, {})) == "[]"
