import base64
import json

import pytest

from customhouse.model.contracts import Limits, Opened, Refusal
from customhouse.model.http import Request
from customhouse.protocols.segment import Segment

PROTOCOL = Segment()
ROUTES = {route.path: route for route in PROTOCOL.routes}


def basic(text):
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def ask(path, headers=None, body=b""):
    return Request("GET", path, "", headers or {}, body, "")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        (basic("WK:"), "WK"),
        (basic("WK"), "WK"),
        (basic("WK:password"), "WK"),
        ({"authorization": "basic V0tfdGVzdDo="}, "WK_test"),
        ({"authorization": "Basic V0t\u0142"}, ""),
        ({"authorization": "Basic ===="}, ""),
        ({"authorization": "Basic /////w=="}, ""),
        ({"authorization": "Basic"}, ""),
        ({"authorization": "Bearer V0tfdGVzdDo="}, ""),
        ({}, ""),
    ],
)
def test_the_write_key_is_the_user_of_the_credentials(headers, key):
    assert PROTOCOL.key(ask("/v1/track", headers), ROUTES["/v1/track"]) == key


def test_the_body_may_name_the_write_key():
    for path, body in (("/v1/batch", b'{"batch":[{}],"writeKey":"WK"}'), ("/v1/t", b'{"writeKey":"WK"}')):
        opened = PROTOCOL.open(ask(path, {"authorization": "Bearer token"}, body), ROUTES[path], Limits())
        assert isinstance(opened, Opened) and opened.write_key == "WK"


@pytest.mark.parametrize("kind", ["track", "identify", "page", "screen", "group", "alias"])
def test_long_and_short_routes_are_one(kind):
    assert ROUTES[f"/v1/{kind}"].word == ROUTES[f"/v1/{kind[0]}"].word == kind


def settings(base, path="/v1/projects/W%22K/settings"):
    route, request = ROUTES["/v1/projects/{}/settings"], ask(path)
    request.base = base
    reply = PROTOCOL.answer(request, route, PROTOCOL.key(request, route))
    return json.loads(reply.body)["integrations"]["Segment.io"]


def test_settings_send_the_browser_sdk_back_to_where_it_asked():
    here = {"apiKey": 'W"K', "apiHost": "in.example:8080/v1", "protocol": "http"}
    assert settings("http://in.example:8080") == here
    there = {"apiKey": 'W"K', "apiHost": "in.example/journal/v1", "protocol": "https"}
    assert settings("https://in.example/journal", "/journal/v1/projects/W%22K/settings/") == there


def test_without_an_address_it_is_never_another_company():
    assert settings("")["apiHost"] == "localhost/v1"


def test_metrics_are_thrown_away():
    route = ROUTES["/v1/m"]
    assert not route.ingest
    assert PROTOCOL.answer(ask("/v1/m"), route, "WK").body == b'{"success":true}'


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("unknown_write_key", 401),
        ("source_disabled", 401),
        ("body_not_json", 400),
        ("body_inflates", 413),
        ("too_busy", 503),
        ("draining", 503),
    ],
)
def test_statuses(reason, status):
    assert PROTOCOL.refused(Refusal(reason), PROTOCOL.routes[0]).status == status
