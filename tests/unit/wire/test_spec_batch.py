import json

import pytest

from customhouse.model.contracts import Limits, Refusal
from customhouse.wire.spec_batch import looks_like_rudderstack, open_batch, open_single

LIMITS = Limits()


def batch(*events, **rest):
    return json.dumps({"batch": events, **rest}).encode()


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ({"anonymousId": "a", "userId": "u"}, "a"),
        ({"anonymousId": None, "userId": "u"}, "u"),
        ({"anonymousId": " ", "userId": 7}, "7"),
        ({"anonymousId": 7.0}, "7"),
        ({"anonymousId": True, "userId": "u"}, "u"),
        ({"anonymousId": {"id": 1}, "userId": " u "}, "u"),
        ({}, ""),
    ],
)
def test_the_order_key_is_the_anonymous_id_else_the_user_id(event, key):
    opened = open_batch(batch({}, event), LIMITS)
    assert [letter.order_key for letter in opened.letters] == ["", key]
    assert open_single(json.dumps(event).encode(), LIMITS).letters[0].order_key == key


def test_the_order_key_is_the_same_on_the_slow_path():
    body = batch({"anonymousId": " a ", "x": float("nan")}, {"userId": 7})
    assert b"NaN" in body
    assert [letter.order_key for letter in open_batch(body, LIMITS).letters] == ["a", "7"]


def test_letters_keep_the_clients_bytes():
    body = b'{"batch":[{"a" :1 }, {"b":[ 2]}\n,{"c":NaN}]}'
    assert [letter.body for letter in open_batch(body, LIMITS).letters] == [b'{"a" :1 }', b'{"b":[ 2]}', b'{"c":NaN}']


@pytest.mark.parametrize("value", [1.5, float("nan")])
def test_what_the_batch_shares_is_kept_once(value):
    context = {"ip": "192.0.2.1", "x": value}
    body = batch({}, context=context, integrations={}, timestamp="2026-11-22", sentAt="2026-11-23", writeKey="WK")
    opened = open_batch(body, LIMITS)
    assert opened.shared == b'{"context":%b,"timestamp":"2026-11-22"}' % json.dumps(context).encode()
    assert (opened.sent_at, opened.write_key) == ("2026-11-23", "WK")


def test_nothing_shared_is_nothing_kept():
    assert open_batch(batch({}, context=None, integrations={}), LIMITS).shared == b""


@pytest.mark.parametrize(("sent", "text"), [(1795341600, "1795341600"), (None, ""), ({}, ""), ("x" * 600, "")])
def test_sent_at_is_short_text_or_a_number(sent, text):
    assert open_batch(batch({}, sentAt=sent), LIMITS).sent_at == text


def test_the_write_key_may_stand_in_the_first_event():
    assert open_batch(batch({"writeKey": "WK"}, {"writeKey": "no"}), LIMITS).write_key == "WK"
    assert open_single(b'{"writeKey":"WK"}', LIMITS).write_key == "WK"
    assert open_single(b'{"writeKey":"WK","x":NaN}', LIMITS).write_key == "WK"
    assert open_single(b'{"writeKey":7}', LIMITS).write_key == ""


def test_a_header_gives_the_anonymous_id_an_event_lacks():
    opened = open_single(b'{"userId":"u"}', LIMITS, sent_at="2026-11-22", anonymous_id="a")
    assert opened.letters[0].order_key == "a"
    assert (opened.shared, opened.sent_at) == (b'{"anonymousId":"a"}', "2026-11-22")
    assert open_single(b'{"anonymousId":"own"}', LIMITS, anonymous_id="a").letters[0].order_key == "own"


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"x"', b"{", b'{"a":tru}', b"\xff", b"   "])
def test_a_single_body_that_is_no_object_is_refused(body):
    opened = open_single(body, LIMITS)
    assert isinstance(opened, Refusal) and opened.reason == "body_not_json"


def test_a_single_event_too_large_or_too_deep_is_kept():
    large = b'{"userId":"u","x":"%b"}' % (b"x" * LIMITS.event_bytes)
    deep = b'{"userId":"u","x":%b}' % (b"[" * 5000 + b"]" * 5000)
    letters = [open_single(body, LIMITS).letters[0] for body in (large, deep)]
    assert [letter.flaw for letter in letters] == ["event_too_large", "event_too_deep"]
    assert [letter.body for letter in letters] == [large, deep]


def test_millions_of_tiny_elements_are_not_decoded_one_by_one():
    opened = open_batch(b'{"batch":[' + b"0," * 2_000_000 + b"0]}", LIMITS)
    assert isinstance(opened, Refusal) and opened.reason == "batch_too_long"


@pytest.mark.parametrize(
    ("event", "rudder"),
    [
        ({"context": {"library": {"name": "RudderLabs JavaScript SDK"}}}, True),
        ({"channel": "server", "context": {"library": {"name": "analytics-python"}}}, True),
        ({"context": {"library": {"name": "analytics-python"}}}, False),
        ({"properties": {"channel": "email", "text": "rudder"}}, False),
        ({}, False),
    ],
)
def test_guesses_the_family_of_a_body(event, rudder):
    assert looks_like_rudderstack(batch(event)) is rudder
    assert looks_like_rudderstack(json.dumps(event, separators=(",", ":")).encode()) is rudder
