import pytest
from msgspec.structs import replace

from customhouse.collector.config import CookieConfig
from customhouse.collector.front.cookie import Cookie, problems
from customhouse.model.contracts import Limits
from customhouse.model.envelope import Envelope, RequestFacts
from customhouse.model.event import Event
from customhouse.model.http import Request
from customhouse.model.outcome import Quarantine
from customhouse.protocols.rudderstack import RudderStack
from customhouse.protocols.segment import Segment

ON = CookieConfig(enabled=True)


def asked(cookie="", **headers):
    return Request("POST", "/v1/t", "", {"cookie": cookie, **headers}, b"", "")


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ("ch_anon=abc", "abc"),
        ("a=b; ch_anon=a%2Fb ; c=d", "a/b"),
        ("ch_anon=first; ch_anon=second", "first"),
        ("xch_anon=abc", ""),
        ("ch_anon=", ""),
        ("ch_anon", ""),
        ("ch_anon=a%0d%0ab", ""),
        ("ch_anon=a%20b", ""),
        ("ch_anon=" + "x" * 129, ""),
        ("ch_anon=" + "%41" * 20_000, ""),
        ("", ""),
    ],
)
def test_only_an_id_we_would_have_set_is_known(header, known):
    assert Cookie(ON).known(asked(header)) == known


@pytest.mark.parametrize("id_", ["", "a b", "a\r\nSet-Cookie: x=1", "x" * 129, "ä" * 100, "\ud800", "\x7f"])
def test_an_id_that_no_cookie_can_hold_is_not_kept(id_):
    assert Cookie(ON).kept(asked(), id_) == ()


@pytest.mark.parametrize(
    ("changes", "tail"),
    [
        ({}, "Path=/; HttpOnly; SameSite=Lax"),
        ({"same_site": "strict", "secure": True}, "Path=/; HttpOnly; SameSite=Strict; Secure"),
        ({"same_site": "none"}, "Path=/; HttpOnly; SameSite=None; Secure"),
        ({"domain": "shop.example"}, "Path=/; HttpOnly; SameSite=Lax; Domain=shop.example"),
    ],
)
def test_what_is_configured_stands_in_the_header(changes, tail):
    ((name, value),) = Cookie(replace(ON, name="visitor", days=2, **changes)).kept(asked(), "id")
    assert (name, value) == ("Set-Cookie", f"visitor=id; Max-Age=172800; {tail}")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "a=b"}, "name"),
        ({"domain": "shop"}, "domain"),
        ({"domain": "shop.example; Secure"}, "domain"),
        ({"same_site": "none", "secure": False}, "secure"),
        ({"name": "__Host-a", "domain": "shop.example"}, "domain"),
        ({"name": "__Secure-a", "secure": False}, "secure"),
    ],
)
def test_what_no_browser_would_take_is_a_problem(changes, place):
    (problem,) = problems(replace(ON, **changes), "listen.cookie")
    assert problem.place == f"listen.cookie.{place}"
    assert problem.hint


def test_the_usual_cookie_is_none():
    assert list(problems(ON, "listen.cookie")) == []


# How events are read that came with a cookie.


def read(protocol, body, noted, *, facts=None):
    route = next(route for route in protocol.routes if route.path == "/v1/track")
    opened = protocol.open(Request("POST", route.path, "", {}, body, ""), route, Limits())
    facts = facts or RequestFacts(anonymous_id=noted)
    envelope = Envelope(bytes(16), "web", protocol.name, route.word, 1, "", b"", facts, opened.letters)
    (event,) = protocol.read(envelope, opened.letters, [0])
    return event


@pytest.mark.parametrize("protocol", [Segment(), RudderStack()], ids=lambda protocol: protocol.name)
def test_the_cookie_stands_in_where_an_event_names_no_anonymous_id(protocol):
    nameless = b'{"event":"Seen","messageId":"m"}'
    assert isinstance(read(protocol, nameless, ""), Quarantine)
    event = read(protocol, nameless, "kept")
    assert isinstance(event, Event)
    assert event.anonymous_id == "kept"
    named = read(protocol, b'{"event":"Seen","messageId":"m","anonymousId":"own"}', "kept")
    assert named.anonymous_id == "own"


def test_a_resend_with_a_cookie_is_the_same_event():
    body = b'{"event":"Seen","messageId":"m","userId":"u"}'
    without, with_ = read(Segment(), body, ""), read(Segment(), body, "kept")
    assert (without.anonymous_id, with_.anonymous_id) == (None, "kept")
    assert without.fingerprint == with_.fingerprint
