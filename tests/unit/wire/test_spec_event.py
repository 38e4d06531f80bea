import json

import pytest

from customhouse.model.envelope import Envelope, Letter, RequestFacts, event_id
from customhouse.model.event import Event
from customhouse.model.outcome import Quarantine
from customhouse.wire import times
from customhouse.wire.ids import hex_id
from customhouse.wire.spec_event import SPEC_TYPES, Dialect, read_spec

DIALECT = Dialect(types=SPEC_TYPES)
RUDDER = Dialect(types={**SPEC_TYPES, "merge": "alias"}, context_traits=True)
T = "2026-11-22T10:00:00.123Z"
TRACK = {"type": "track", "event": "E", "userId": "u", "messageId": "m", "timestamp": T}


def read(event, *, route="batch", shared=None, sent_at="", dialect=DIALECT):
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    text = b"" if shared is None else shared if isinstance(shared, bytes) else json.dumps(shared).encode()
    envelope = Envelope(bytes(16), "s", "p", route, 5, sent_at, text, RequestFacts(host="h"), [])
    return read_spec(envelope, [Letter(1, "key", body)], [9], dialect)[0]


def without(*names, **more):
    return {**{name: value for name, value in TRACK.items() if name not in names}, **more}


def test_reads_every_field():
    event = read(
        without(
            anonymousId="a",
            groupId=3,
            properties={"p": 1},
            traits={"t": 1},
            context={"c": 1},
            integrations={"All": True},
            sentAt="2026-11-22T10:00:01Z",
        )
    )
    assert event == Event(
        id=event_id(bytes(16), 1),
        position=9,
        source="s",
        protocol="p",
        type="track",
        name="E",
        message_id="m",
        user_id="u",
        anonymous_id="a",
        group_id="3",
        previous_id=None,
        received_at=5,
        original_at=times.parse(T),
        sent_at=times.parse("2026-11-22T10:00:01Z"),
        properties=b'{"p": 1}',
        traits=b'{"t": 1}',
        context=b'{"c": 1}',
        integrations=b'{"All": true}',
        request=RequestFacts(host="h"),
        order_key="key",
        fingerprint=event.fingerprint,
    )


@pytest.mark.parametrize(
    ("event", "reason", "detail"),
    [
        (b"5", "event_unreadable", "a JSON object was expected"),
        (b'{"type":', "event_unreadable", "a JSON object was expected"),
        (without("type"), "type_missing", ""),
        (without(type=None), "type_missing", ""),
        (without(type=" "), "type_missing", ""),
        (without(type="trak"), "type_unknown", ""),
        (without(type="merge"), "type_unknown", ""),
        (without(type=5), "event_unreadable", "type: text was expected"),
        (without("event"), "name_missing", ""),
        (without(event=None), "name_missing", ""),
        (without(event=" \n"), "name_missing", ""),
        (without(event=["E"]), "event_unreadable", "event: text was expected"),
        (without(type="page", name=5), "event_unreadable", "name: text was expected"),
        (without(type="screen", category={}), "event_unreadable", "category: text was expected"),
        (without("userId"), "identity_missing", ""),
        (without(userId=None, anonymousId=" "), "identity_missing", ""),
        (without("userId", type="group", groupId="g"), "identity_missing", ""),
        (without("userId", type="alias", anonymousId="a"), "identity_missing", ""),
        (without(properties=[1]), "event_unreadable", "properties: an object was expected"),
        (without(traits="secret"), "event_unreadable", "traits: an object was expected"),
        (without(context=1), "event_unreadable", "context: an object was expected"),
        (without(integrations=False), "event_unreadable", "integrations: an object was expected"),
    ],
)
def test_quarantines_with_a_reason_and_no_value(event, reason, detail):
    verdict = read(event)
    assert isinstance(verdict, Quarantine)
    assert (verdict.reason, verdict.detail) == (reason, detail)


@pytest.mark.parametrize(
    ("event", "called"),
    [
        (without("userId"), ("m", "track", "E")),
        (without("event"), ("m", "track", "")),
        (without(properties=[1], messageId=7), ("7", "track", "E")),
        (without(type="trak"), ("m", "", "")),
        (without("userId", event="E" * 513), ("m", "track", "")),
        (without("userId", "messageId"), ("", "track", "E")),
        (b"5", ("", "", "")),
        (b'{"messageId":"m"', ("", "", "")),
    ],
)
def test_quarantine_says_what_the_sender_calls_it(event, called):
    verdict = read(event)
    assert (verdict.message_id, verdict.type, verdict.name) == called


def test_what_the_door_found_flawed_keeps_its_message_id():
    envelope = Envelope(bytes(16), "s", "p", "batch", 5, "", b"", RequestFacts(), [])
    letter = Letter(1, "key", json.dumps(TRACK).encode(), flaw="event_too_large")
    (verdict,) = read_spec(envelope, [letter], [9], DIALECT)
    assert (verdict.reason, verdict.message_id) == ("event_too_large", "m")


def test_nothing_of_the_open_parts_is_an_empty_object():
    for event in (without(), without(properties=None, traits=None, context=None, integrations=None)):
        found = read(event)
        assert found.properties == found.traits == found.context == found.integrations == b"{}"


def test_the_route_decides_the_type_and_inside_a_batch_the_event():
    assert read(without(type="page"), route="track").type == "track"
    assert read(without("type"), route="identify").type == "identify"
    assert read(without(type=" TRACK ")).type == "track"
    assert read(without(type="merge", previousId="p"), dialect=RUDDER).type == "alias"


def test_alias_needs_a_previous_or_a_user_id():
    assert read(without("userId", type="alias", previousId=7)).previous_id == "7"


def test_page_and_screen_find_their_names_among_the_properties_too():
    for kind in ("page", "screen"):
        inside = read(without(type=kind, properties={"name": "N", "category": "C"}))
        outside = read(without(type=kind, name="n", category="c", properties={"name": "N", "category": "C"}))
        assert (inside.name, inside.category) == ("N", "C")
        assert (outside.name, outside.category) == ("n", "c")
        nowhere = read(without(type=kind, properties={"name": 5}))
        assert (nowhere.name, nowhere.category) == ("", "")


def test_a_group_may_stand_in_the_context():
    assert read(without(context={"groupId": "g"})).group_id == "g"
    assert read(without(groupId="own", context={"groupId": "g"})).group_id == "own"


def test_traits_of_an_identify_call_may_stand_in_the_context_of_some_families():
    event = without(type="identify", context={"traits": {"a": 1}})
    assert read(event, dialect=RUDDER).traits == b'{"a": 1}'
    assert read(event, dialect=RUDDER).context == b'{"traits": {"a": 1}}'
    assert read(event).traits == b"{}"
    assert read({**event, "traits": {"b": 2}}, dialect=RUDDER).traits == b'{"b": 2}'
    assert read(without(context={"traits": {"a": 1}}), dialect=RUDDER).traits == b"{}"


@pytest.mark.parametrize("absent", [{}, {"messageId": None}, {"messageId": ""}, {"messageId": {}}])
def test_a_missing_message_id_is_made_of_ours(absent):
    event = read(without("messageId", **absent))
    assert event.message_id == hex_id(event.id) and event.flags == ("message_id_missing",)


@pytest.mark.parametrize(
    ("said", "us", "flags"),
    [
        ({"originalTimestamp": "2026-11-22", "timestamp": T}, times.parse(T), ()),
        ({"originalTimestamp": "2026-11-22"}, times.parse("2026-11-22"), ()),
        ({"timestamp": "1795341600123"}, times.parse("2026-11-22T10:00:00.123Z"), ()),
        ({"timestamp": "soon"}, None, ("time_unreadable",)),
        ({"timestamp": {}}, None, ("time_missing",)),
        ({"timestamp": ["x"]}, None, ("time_unreadable",)),
        ({"timestamp": None}, None, ("time_missing",)),
        ({}, None, ("time_missing",)),
    ],
)
def test_when_it_happened(said, us, flags):
    event = read(without("timestamp", **said))
    assert (event.original_at, event.flags) == (us, flags)


def test_the_time_of_a_batch_is_that_of_an_event_without_one():
    assert read(without("timestamp"), shared={"timestamp": T}).original_at == times.parse(T)
    assert read(without(), shared={"timestamp": "2020-01-01"}).original_at == times.parse(T)


def test_when_it_was_sent_the_event_knows_best():
    assert read(without(), sent_at=T).sent_at == times.parse(T)
    assert read(without(sentAt="2026-11-23"), sent_at=T).sent_at == times.parse("2026-11-23")
    assert read(without(), sent_at="soon").sent_at is None


def test_an_import_is_historical():
    assert read(without(), route="import").historical
    assert not read(without()).historical


def test_what_the_batch_shares_lies_under_the_events_own():
    shared = {"context": {"ip": "1", "page": {"url": "x"}}, "integrations": {"All": False, "X": True}}
    event = read(without(context={"page": {"path": "y"}}, integrations={"All": True}), shared=shared)
    assert json.loads(event.context) == {"ip": "1", "page": {"path": "y"}}
    assert json.loads(event.integrations) == {"All": True, "X": True}
    assert read(without(), shared={"anonymousId": "a"}).anonymous_id == "a"


def test_shared_parts_are_mended_like_events():
    event = read(without(), shared=b'{"context":{"a":NaN,"b":"\xff"}}')
    assert json.loads(event.context) == {"a": None, "b": "\ufffd"} and event.flags == ("json_repaired",)
    assert json.loads(read(without(), shared=b'{"context":{"a":1e999}}').context) == {"a": None}
    for broken in (b'{"context":"x"}', b'{"context":{x}}'):
        assert read(without(), shared=broken).reason == "event_unreadable"


@pytest.mark.parametrize(
    ("value", "mended"),
    [(b"NaN", None), (b"-Infinity", None), (b"1e999", None), (b"9" * 5000, None), (b'"\xed\xa0\xbd"', "\ufffd")],
    ids=range(5),
)
@pytest.mark.parametrize("place", ["properties", "traits", "context", "integrations"])
def test_broken_values_are_mended_and_flagged(place, value, mended):
    text = json.dumps(without(**{place: {"a": "?", "b": 1}})).encode().replace(b'"?"', value)
    event = read(text)
    assert json.loads(getattr(event, place)) == {"a": mended, "b": 1}
    assert event.flags == ("json_repaired",)


def test_the_fingerprint_ignores_what_a_resend_changes_and_nothing_else():
    event = without(properties={"p": 1}, traits={"t": 1})
    same = read(event).fingerprint
    assert read({**event, "sentAt": T, "_metadata": {"retry": 1}, "context": {"r": 1}}, sent_at=T).fingerprint == same
    changes = [{"event": "F"}, {"userId": "v"}, {"anonymousId": "a"}, {"timestamp": "2026-11-22"}, {"traits": {"t": 2}}]
    changes += [{"properties": {"p": 2}}, {"properties": {}}, {"traits": {}}, {"groupId": "g"}, {"previousId": "q"}]
    others = {read({**event, **change}).fingerprint for change in changes}
    assert len(others) == len(changes) and same not in others
