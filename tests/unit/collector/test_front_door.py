"""What browsers see of an open door: prefixes, SDK files, the cookie, and answers they may read under every prefix."""

import base64
import gzip
import hashlib
import json

import pytest
from loopback import KEY, basic, get, house, on_loop, post, track

from customhouse.collector.commit import Terms
from customhouse.collector.config import CookieConfig, LimitsConfig, ListenConfig
from customhouse.collector.door import Front
from customhouse.collector.front.cookie import Cookie
from customhouse.collector.front.files import Kept
from customhouse.collector.front.shelf import Shelf
from customhouse.protocols.rudderstack import RudderStack
from customhouse.protocols.segment import Segment

PAGE = "Origin: https://shop.example"
BODY = b"/* an SDK */ " + b"var analytics = 1; " * 200
SHA = base64.b64encode(hashlib.sha384(BODY).digest()).decode()
FILE = Kept(name="analytics.js", file="analytics.0123456789ab.js", sha384=SHA, size=len(BODY), added_at=1)


def shown(front, test, **options):
    """Open a door with a front and run a test against it."""

    async def main():
        async with house(**options) as door:
            door.door.show(front)
            await test(door)

    on_loop(main())


# Prefixes.


@pytest.mark.parametrize("prefix", ["", "/journal", "/a/b"])
def test_everything_for_browsers_is_served_under_every_prefix(prefix):
    async def test(door):
        batch = {"batch": [track()]}
        assert (await door.ask(post(f"{prefix}/v1/t", track(), basic()))).status == 200
        assert (await door.ask(post(f"{prefix}/v1/b/", batch, basic()))).status == 200
        assert (await door.ask(post(f"{prefix}/beacon/v1/batch?writeKey={KEY}", batch))).body == b"OK"
        config = await door.ask(get(f"{prefix}/sourceConfig/?writeKey={KEY}"))
        assert config.json["source"]["writeKey"] == KEY
        settings = await door.ask(get(f"{prefix}/v1/projects/{KEY}/settings"))
        assert settings.json["integrations"]["Segment.io"]["apiHost"] == f"x{prefix}/v1"
        assert (await door.ask(get(f"{prefix}/sdk/analytics.js"))).body == BODY
        paths = [envelope.facts.path for envelope in door.envelopes()]
        assert paths == [f"{prefix}/v1/t", f"{prefix}/v1/b/", f"{prefix}/beacon/v1/batch"]

    shown(Front(("/journal", "/a", "/a/b"), None, Shelf([(FILE, BODY)])), test)


def test_a_prefix_that_is_taken_away_leads_nowhere():
    async def test(door):
        for path in ("/journal/v1/t", "/journalv1/t", "/journal/journal/v1/t"):
            served = path == "/journal/v1/t"
            assert (await door.ask(post(path, track(), basic()))).status == (200 if served else 404)
        assert (await door.ask(get("/journal/health"))).status == 404
        door.door.show(Front(("/other",)))
        assert (await door.ask(post("/journal/v1/t", track(), basic()))).status == 404
        assert (await door.ask(post("/other/v1/t", track(), basic()))).status == 200
        door.door.show(Front())
        assert (await door.ask(post("/other/v1/t", track(), basic()))).status == 404
        assert (await door.ask(post("/v1/t", track(), basic()))).status == 200

    shown(Front(("/journal",)), test)


@pytest.mark.parametrize("prefix", ["", "/journal"])
def test_pages_may_read_every_refusal_under_a_prefix_too(prefix):
    async def test(door):
        answers = {
            401: await door.ask(post(f"{prefix}/v1/t", track(), basic("wrong"), PAGE)),
            413: await door.ask(post(f"{prefix}/v1/t", b"x" * 300, basic(), PAGE)),
            400: await door.ask(post(f"{prefix}/v1/t", b"x", basic(), PAGE)),
            405: await door.ask(get(f"{prefix}/v1/t", PAGE)),
            404: await door.ask(get(f"{prefix}/sdk/other.js", PAGE)),
            503: await full(door, prefix),
        }
        for status, answer in answers.items():
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == "https://shop.example"
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert "Retry-After" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"].endswith("Origin")
        assert int(answers[503].headers["retry-after"]) > 0
        names = "authorization,x-retry-count"
        asked = get(f"{prefix}/v1/t", PAGE, f"Access-Control-Request-Headers: {names}", method="OPTIONS")
        answer = await door.ask(asked)
        assert (answer.status, answer.headers["access-control-allow-headers"]) == (200, names)

    async def full(door, prefix):
        """Ask when the disk has less space than is to be left alone."""
        door.commit.terms = Terms(free_disk_bytes=1, tick=60)
        door.commit._saw(0)
        return await door.ask(post(f"{prefix}/v1/t", track(), basic(), PAGE))

    shown(Front(("/journal",)), test, limits=LimitsConfig(body_bytes=250), terms=Terms(tick=60))


ROUTES = sorted({(route.method, route.path) for family in (Segment(), RudderStack()) for route in family.routes})


def test_pages_may_ask_and_read_at_every_route_even_when_refused():
    async def test(door):
        for prefix in ("", "/journal"):
            for method, path in ROUTES:
                where = prefix + path.replace("{}", "wrong")
                asked = post(where, track(), PAGE) if method == "POST" else get(where, PAGE)
                before = await door.ask(get(where, PAGE, f"Access-Control-Request-Method: {method}", method="OPTIONS"))
                assert (before.status, method in before.headers["access-control-allow-methods"]) == (200, True)
                answer = await door.ask(asked)
                assert answer.status in {400, 401}, where
                for each in (before, answer):
                    assert each.headers["access-control-allow-origin"] == "https://shop.example"
                    assert each.headers["access-control-allow-credentials"] == "true"

    shown(Front(("/journal",)), test)


# SDK files.


def test_sdk_files_are_served_from_memory_with_what_pages_and_caches_need():
    async def test(door):
        plain = await door.ask(get("/sdk/analytics.js"))
        assert (plain.status, plain.body) == (200, BODY)
        assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
        assert plain.headers["cache-control"] == "public, max-age=300"
        assert "content-encoding" not in plain.headers
        hashed = await door.ask(get("/sdk/analytics.0123456789ab.js", PAGE, "Accept-Encoding: br, gzip"))
        assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert hashed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(hashed.body) == BODY
        assert len(hashed.body) < len(BODY) / 10
        assert hashed.headers["access-control-allow-origin"] == "https://shop.example"
        assert hashed.headers["etag"] != plain.headers["etag"]
        refused = await door.ask(get("/sdk/analytics.js", "Accept-Encoding: br, gzip;q=0"))
        assert refused.body == BODY
        head = await door.ask(get("/sdk/analytics.js", method="HEAD"), head=True)
        assert (head.status, head.headers["content-length"]) == (200, str(len(BODY)))
        assert (await door.ask(post("/sdk/analytics.js", b""))).status == 405

    shown(Front(shelf=Shelf([(FILE, BODY)])), test)


def test_caches_are_told_when_nothing_changed_and_the_connection_goes_on():
    async def test(door):
        etag = (await door.ask(get("/sdk/analytics.js"))).headers["etag"]
        data = get("/sdk/analytics.js", f'If-None-Match: "other", W/{etag}') + get("/health")
        from loopback import Client

        client = await Client.to(door.port)
        unchanged = await client.ask(data, head=True)
        assert (unchanged.status, unchanged.headers["etag"]) == (304, etag)
        assert (await client.answer()).json == {"status": "ok"}
        client.close()

    shown(Front(shelf=Shelf([(FILE, BODY)])), test)


@pytest.mark.parametrize(
    "path", ["/sdk", "/sdk/", "/sdk/../analytics.js", "/sdk//analytics.js", "/sdk/%61nalytics.js", "/sdk/manifest.json",
             "/sdk/analytics.js/", "/sdk/..%2f..%2fetc%2fpasswd", "/analytics.js"],
)  # fmt: skip
def test_only_names_on_the_shelf_are_served(path):
    async def test(door):
        assert (await door.ask(get(path))).status == 404

    shown(Front(shelf=Shelf([(FILE, BODY)])), test)


def test_the_newest_of_a_name_has_it_and_the_older_one_keeps_its_own():
    newer = Kept(name="analytics.js", file="analytics.ffffffffffff.js", sha384="other", size=3, added_at=2)

    async def test(door):
        assert (await door.ask(get("/sdk/analytics.js"))).body == b"new"
        assert (await door.ask(get("/sdk/analytics.0123456789ab.js"))).body == BODY

    shown(Front(shelf=Shelf([(FILE, BODY), (newer, b"new")])), test)


# The cookie.

JAR = Front(cookie=Cookie(CookieConfig(enabled=True)))


def cookie_of(answer):
    return answer.headers.get("set-cookie")


def test_the_first_answer_keeps_the_sdks_id_and_the_next_ones_renew_it():
    async def test(door):
        first = await door.ask(post("/v1/t", track(anonymousId="a/1 ä" + "x"), basic(), PAGE))
        assert cookie_of(first) is None  # a blank cannot be kept
        first = await door.ask(post("/v1/t", track(anonymousId="a/1;ä"), basic(), PAGE))
        assert cookie_of(first) == "ch_anon=a%2F1%3B%C3%A4; Max-Age=34128000; Path=/; HttpOnly; SameSite=Lax"
        again = post("/v1/t", track(anonymousId="another"), basic(), PAGE, "Cookie: x=1; ch_anon=a%2F1%3B%C3%A4")
        assert cookie_of(await door.ask(again)) == cookie_of(first)
        noted = [envelope.facts.anonymous_id for envelope in door.envelopes()]
        assert noted == ["", "", "a/1;ä"]
        assert json.loads(door.envelopes()[2].letters[0].body)["anonymousId"] == "another"

    shown(JAR, test)


def test_the_cookies_id_orders_what_names_nobody():
    async def test(door):
        events = [track(anonymousId=None), track(anonymousId=None, userId="u"), track()]
        await door.ask(post("/v1/b", {"batch": events}, basic(), PAGE, "Cookie: ch_anon=kept"))
        (envelope,) = door.envelopes()
        assert [letter.order_key for letter in envelope.letters] == ["kept", "u", "anna"]
        assert envelope.facts.anonymous_id == "kept"

    shown(JAR, test)


def test_the_header_of_rudderstacks_sdk_counts_and_beacons_too():
    async def test(door):
        id_ = base64.b64encode(b"from-header").decode()
        answer = await door.ask(post("/v1/track", track(anonymousId=None), basic(), PAGE, f"AnonymousId: {id_}"))
        assert cookie_of(answer) is None  # Segment's family knows no such header
        event = track(anonymousId=None, context={"library": {"name": "RudderLabs JavaScript SDK"}})
        answer = await door.ask(post("/v1/track", event, basic(), PAGE, f"AnonymousId: {id_}"))
        assert cookie_of(answer).startswith("ch_anon=from-header;")
        beacon = post(f"/beacon/v1/batch?writeKey={KEY}", {"batch": [track()]}, "Sec-Fetch-Site: same-origin")
        assert cookie_of(await door.ask(beacon)).startswith("ch_anon=anna;")

    shown(JAR, test)


@pytest.mark.parametrize(
    "headers",
    [
        (basic(),),  # a server's SDK
        (basic(), "Cookie: ch_anon=kept"),
        (basic("wrong"), PAGE),
    ],
)
def test_servers_and_the_refused_get_none(headers):
    async def test(door):
        assert cookie_of(await door.ask(post("/v1/t", track(), *headers))) is None
        assert [envelope.facts.anonymous_id for envelope in door.envelopes()] in ([], [""])

    shown(JAR, test)


def test_without_an_id_none_is_made_up():
    async def test(door):
        assert cookie_of(await door.ask(post("/v1/t", track(anonymousId=None, userId="u"), basic(), PAGE))) is None

    shown(JAR, test)


def test_who_asks_not_to_be_followed_gets_none_and_loses_an_old_one():
    async def test(door):
        gpc = "Sec-GPC: 1"
        assert cookie_of(await door.ask(post("/v1/t", track(), basic(), PAGE, gpc))) is None
        answer = await door.ask(post("/v1/t", track(), basic(), PAGE, gpc, "Cookie: ch_anon=kept"))
        assert cookie_of(answer) == "ch_anon=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
        assert [envelope.facts.anonymous_id for envelope in door.envelopes()] == ["", ""]

    shown(JAR, test)


def test_by_default_there_is_no_cookie():
    async def test(door):
        answer = await door.ask(post("/v1/t", track(), basic(), PAGE, "Cookie: ch_anon=kept"))
        assert cookie_of(answer) is None
        (envelope,) = door.envelopes()
        assert (envelope.facts.anonymous_id, envelope.facts.cookies) == ("", {})

    shown(Front(), test)


@pytest.mark.parametrize(("proto", "secure"), [("https", True), ("http", False)])
def test_the_cookie_is_secure_when_the_client_came_by_https(proto, secure):
    async def test(door):
        answer = await door.ask(post("/v1/t", track(), basic(), PAGE, f"X-Forwarded-Proto: {proto}"))
        assert cookie_of(answer).endswith("; Secure") == secure

    shown(JAR, test, listen=ListenConfig(port=0, trusted_proxies=("127.0.0.1",)))
