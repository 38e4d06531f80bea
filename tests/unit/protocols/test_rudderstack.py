import base64
import json

import pytest

from customhouse.model.contracts import Limits, Refusal
from customhouse.model.envelope import Envelope, RequestFacts
from customhouse.model.http import Request
from customhouse.protocols.rudderstack import RudderStack

PROTOCOL = RudderStack()
ROUTES = {route.path: route for route in PROTOCOL.routes}
BASIC = {"authorization": "Basic V0tfdGVzdDo="}


def ask(path, *, query="", headers=None, body=b""):
    return Request("POST", path, query, headers or {}, body, "")


@pytest.mark.parametrize(
    ("path", "query", "headers", "key"),
    [
        ("/v1/track", "", BASIC, "WK_test"),
        ("/v1/track", "writeKey=other", {}, ""),
        ("/v1/batch", "writeKey=other", BASIC, "WK_test"),
        ("/beacon/v1/batch", "x=1&writeKey=W%2BK&y", BASIC, "W+K"),
        ("/beacon/v1/batch", "writekey=WK", BASIC, ""),
        ("/beacon/v1/batch", "writeKey=%FF%", {}, "\ufffd%"),
        ("/sourceConfig", "writeKey=other", BASIC, "WK_test"),
        ("/sourceConfig", "p=npm&writeKey=WK", {}, "WK"),
    ],
)
def test_where_the_write_key_stands(path, query, headers, key):
    assert PROTOCOL.key(ask(path, query=query, headers=headers), ROUTES[path]) == key


def test_the_body_names_no_write_key_here():
    opened = PROTOCOL.open(ask("/v1/track", body=b'{"userId":"u"}'), ROUTES["/v1/track"], Limits())
    assert opened.write_key == ""


def read(path, headers, body):
    route = ROUTES[path]
    opened = PROTOCOL.open(ask(path, headers=headers, body=body), route, Limits())
    envelope = Envelope(
        bytes(16), "s", "rudderstack", route.word, 1, opened.sent_at, opened.shared, RequestFacts(), opened.letters
    )
    return PROTOCOL.read(envelope, opened.letters, [0])[0]


def test_headers_give_the_anonymous_id_and_the_time_of_sending():
    headers = {"anonymousid": base64.b64encode("żółć".encode()).decode(), "sentat": "2026-11-22T10:00:00Z"}
    event = read("/v1/track", headers, b'{"event":"E"}')
    assert event.anonymous_id == event.order_key == "żółć" and event.sent_at == 1_795_341_600_000_000
    assert read("/v1/track", headers, b'{"event":"E","anonymousId":"own"}').anonymous_id == "own"
    assert read("/v1/track", {"anonymousid": "%%%"}, b'{"event":"E"}').reason == "identity_missing"


def test_merge_is_alias():
    assert read("/v1/merge", {}, b'{"userId":"u","previousId":"p"}').type == "alias"


def test_source_config_lets_the_browser_sdk_send():
    route = ROUTES["/sourceConfig"]
    source = json.loads(PROTOCOL.answer(ask("/sourceConfig"), route, "WK").body)["source"]
    assert (source["writeKey"], source["enabled"], source["destinations"]) == ("WK", True, [])


def test_says_ok_as_text():
    reply = PROTOCOL.accepted(ROUTES["/v1/batch"])
    assert (reply.status, reply.body, reply.content_type) == (200, b"OK", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("reason", "status"), [("unknown_write_key", 401), ("source_disabled", 404), ("batch_empty", 400)]
)
def test_statuses(reason, status):
    assert PROTOCOL.refused(Refusal(reason), PROTOCOL.routes[0]).status == status
