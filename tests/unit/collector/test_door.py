import asyncio
import base64
import gzip
import json
import threading
import uuid
import zlib

import brotli
import pytest
import zstandard
from loopback import KEY, Client, House, basic, get, house, on_loop, post, track, until

from customhouse.collector.commit import Terms
from customhouse.collector.config import LimitsConfig, ListenConfig, SourceConfig
from customhouse.collector.door import About
from customhouse.log.embedded import EmbeddedLog
from customhouse.log.memory import MemoryLog
from customhouse.model.errors import Misconfigured, Unavailable
from customhouse.model.frames import RECEIVED_TOPIC


def with_house(test, **options):
    async def main():
        async with house(**options) as opened:
            await test(opened)
        return opened

    return on_loop(main())


def asked(data, **options):
    """Return the answer to one request, and the closed house."""
    answers = []

    async def test(door):
        answers.append(await door.ask(data))

    opened = with_house(test, **options)
    return answers[0], opened


BATCH = {"batch": [track("One"), track("Two", anonymousId="bert")], "sentAt": "2026-01-01T00:00:00Z"}


def test_an_event_is_in_the_log_when_it_is_acknowledged():
    async def test(door):
        answer = await door.ask(post("/v1/track", track(), basic()))
        assert (answer.status, answer.json) == (200, {"success": True})
        (envelope,) = door.envelopes()
        spot, id_ = answer.headers["x-customhouse-receipt"].split("; id=")
        assert (spot, uuid.UUID(id_).bytes, uuid.UUID(id_).version) == ("0:0+1", envelope.id, 7)
        assert (envelope.source, envelope.protocol, envelope.route) == ("shop", "segment", "track")
        (letter,) = envelope.letters
        assert (letter.nth, letter.order_key, json.loads(letter.body)) == (0, "anna", track())
        assert envelope.id[-1] == 0
        assert envelope.id[-2] & 15 == 0

    with_house(test)


def test_a_batch_is_one_envelope_and_positions_go_on():
    async def test(door):
        first = await door.ask(post("/v1/batch", BATCH, basic()))
        second = await door.ask(post("/v1/batch/", BATCH, basic()))
        assert first.headers["x-customhouse-receipt"].startswith("0:0+2; id=")
        assert second.headers["x-customhouse-receipt"].startswith("0:2+2; id=")
        assert door.envelopes()[0].sent_at == "2026-01-01T00:00:00Z"
        assert door.envelopes()[0].id < door.envelopes()[1].id
        assert [frame.config for frame in door.door_frames()] == [7, 7]

    with_house(test)


def test_with_partitions_the_events_of_a_key_stay_together():
    people = [f"person-{nth}" for nth in range(40)]
    body = {"batch": [track(anonymousId=person) for person in people * 2] + [track(anonymousId=None)] * 20}

    async def test(door):
        answer = await door.ask(post("/v1/batch", body, basic()))
        spots, _ = answer.headers["x-customhouse-receipt"].split("; id=")
        counts = {int(spot.split(":")[0]): int(spot.split("+")[1]) for spot in spots.split(",")}
        assert sum(counts.values()) == 100
        found = {partition: door.envelopes(partition) for partition in range(4)}
        assert {len(envelopes) for envelopes in found.values()} == {1}
        assert len({envelope.id for (envelope,) in found.values()}) == 1
        homes = {}
        for partition, (envelope,) in found.items():
            assert len(envelope.letters) == counts[partition]
            assert [letter.nth for letter in envelope.letters] == sorted(letter.nth for letter in envelope.letters)
            for letter in envelope.letters:
                homes.setdefault(letter.order_key, set()).add(partition)
        assert all(len(homes[person]) == 1 for person in people)
        assert len(homes[""]) > 1

    with_house(test, terms=Terms(partitions=4))


@pytest.mark.parametrize(
    "headers",
    [
        (basic(),),
        ("authorization: basic " + base64.b64encode(KEY.encode()).decode(),),
    ],
)
def test_keys_come_in_headers(headers):
    assert asked(post("/v1/track", track(), *headers))[0].status == 200


def test_keys_come_in_the_body_and_in_the_query_of_beacons():
    assert asked(post("/v1/track", track(writeKey=KEY)))[0].status == 200
    assert asked(post("/v1/batch", {"writeKey": KEY, **BATCH}, "Authorization: Bearer token"))[0].status == 200
    assert asked(post(f"/beacon/v1/batch?writeKey={KEY}", BATCH))[0].body == b"OK"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (post("/v1/track", track(), basic("wrong")), "unknown_write_key"),
        (post("/v1/batch", {"writeKey": "wrong", **BATCH}), "unknown_write_key"),
        (post("/v1/track", track()), "missing_write_key"),
        (post("/beacon/v1/batch?writeKey=wrong", BATCH), "unknown_write_key"),
    ],
)
def test_who_has_no_key_is_told_so_and_counted(data, reason):
    answer, door = asked(data)
    assert answer.status == 401
    assert set(answer.json) >= {"code", "message"}
    assert door.refusals() == {("-", f"refused:{reason}"): 1}
    assert door.envelopes() == []


def test_a_disabled_source_is_refused_however_it_says_its_key():
    sources = {"shop": SourceConfig(write_key=KEY, enabled=False)}
    for data in (post("/v1/track", track(), basic()), post("/v1/track", track(writeKey=KEY))):
        answer, door = asked(data, sources=sources)
        assert answer.status in {401, 404}
        assert door.refusals() == {("shop", "refused:source_disabled"): 1}


RUDDER = {"batch": [track(context={"library": {"name": "RudderLabs JavaScript SDK"}})]}


@pytest.mark.parametrize(
    ("protocol", "path", "body", "family"),
    [
        ("auto", "/v1/batch", BATCH, "segment"),
        ("auto", "/v1/batch", RUDDER, "rudderstack"),
        ("segment", "/v1/batch", RUDDER, "segment"),
        ("rudderstack", "/v1/batch", BATCH, "rudderstack"),
        ("auto", "/v1/t", track(), "segment"),
        ("rudderstack", "/v1/t", track(), "segment"),
        ("segment", "/v1/merge", {"userId": "a", "previousId": "b"}, "rudderstack"),
    ],
)
@pytest.mark.parametrize("key_in_body", [False, True])
def test_the_family_is_the_sources_else_the_routes_else_the_bodys(protocol, path, body, family, key_in_body):
    sources = {"shop": SourceConfig(write_key=KEY, protocol=protocol)}
    data = post(path, {**body, "writeKey": KEY}) if key_in_body else post(path, body, basic())
    answer, door = asked(data, sources=sources)
    assert answer.status == 200
    assert (answer.body == b"OK") is (family == "rudderstack")
    assert [envelope.protocol for envelope in door.envelopes()] == [family]


def raw_deflate(body):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("pack", "header"),
    [
        (gzip.compress, "gzip"),
        (gzip.compress, ""),
        (zlib.compress, "deflate"),
        (raw_deflate, "deflate"),
        (brotli.compress, "br"),
        (zstandard.compress, "zstd"),
        (bytes, "gzip"),
    ],
)
def test_bodies_are_unpacked_by_what_they_are(pack, header):
    body = pack(json.dumps(BATCH).encode())
    extra = (f"Content-Encoding: {header}",) if header else ()
    answer, door = asked(post("/v1/batch", body, basic(), "Content-Type: application/x-www-form-urlencoded", *extra))
    assert answer.status == 200
    assert len(door.envelopes()[0].letters) == 2


BOMB = gzip.compress(b'{"batch":[' + b" " * 5_000_000)


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (post("/v1/batch", b"{", basic()), 400, "body_not_json"),
        (post("/v1/batch", b"", basic()), 400, "body_missing"),
        (post("/v1/batch", {"batch": []}, basic()), 400, "batch_empty"),
        (post("/v1/batch", {"batch": [track()] * 6}, basic()), 413, "batch_too_long"),
        (post("/v1/batch", BOMB, basic()), 413, "body_inflates"),
        (post("/v1/batch", gzip.compress(b"[]")[:-9], basic()), 400, "body_unreadable"),
        (post("/v1/batch", b"x" * 100_001, basic()), 413, "body_too_large"),
    ],
)
def test_what_cannot_be_taken_is_refused_and_counted(data, status, reason):
    limits = LimitsConfig(batch_events=5, inflated_bytes=1_000_000, body_bytes=100_000)
    answer, door = asked(data, limits=limits)
    assert answer.status == status
    assert set(answer.json) >= {"code", "message"}
    assert door.refusals() == {("shop", f"refused:{reason}"): 1}
    assert door.envelopes() == []


def test_a_bad_event_is_kept_and_harms_no_neighbour():
    body = {"batch": [track("Fine"), {"type": "track", "x": "y" * 40_000}, 7, track("Also fine")]}
    answer, door = asked(post("/v1/batch", body, basic()))
    assert answer.status == 200
    flaws = [letter.flaw for letter in door.envelopes()[0].letters]
    assert flaws == ["", "event_too_large", "event_unreadable", ""]
    assert door.refusals() == {}


# What browsers need.


def test_preflights_are_answered_on_every_route():
    ask = ("Origin: https://shop.example", "Access-Control-Request-Method: POST")
    for path in ("/v1/t", "/v1/batch/", "/v1/projects/x/settings", "/sourceConfig", "/health", "/unknown"):
        data = get(path, *ask, "Access-Control-Request-Headers: authorization,x-new", method="OPTIONS")
        answer, _ = asked(data)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-allow-headers"] == "authorization,x-new"
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert int(answer.headers["access-control-max-age"]) > 0
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "data",
    [
        post("/v1/t", track(), basic(), "Origin: https://shop.example"),
        post("/v1/t", track(), basic("wrong"), "Origin: https://shop.example"),
        post("/v1/t", b"x" * 6_000_000, "Origin: https://shop.example"),
        get("/v1/projects/shop-key/settings", "Origin: https://shop.example"),
        get("/unknown", "Origin: https://shop.example"),
        get("/v1/t", "Origin: https://shop.example"),
    ],
)
def test_pages_may_see_every_answer(data):
    answer, _ = asked(data)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-expose-headers"] == "Retry-After, X-Customhouse-Receipt"
    assert answer.headers["vary"] == "Origin"


def test_nothing_is_said_of_origins_when_no_page_asks():
    answer, _ = asked(post("/v1/t", track(), basic()))
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_browser_sdks_get_their_settings_only_for_known_keys():
    answer, _ = asked(get(f"/v1/projects/{KEY}/settings"))
    assert answer.json["integrations"]["Segment.io"]["apiKey"] == KEY
    assert answer.headers["vary"] == "Origin"
    answer, _ = asked(get(f"/sourceConfig/?writeKey={KEY}", basic()))
    assert answer.json["source"]["enabled"] is True
    for path in ("/v1/projects/wrong/settings", "/sourceConfig?writeKey=wrong", "/sourceConfig"):
        answer, door = asked(get(path))
        assert answer.status == 401
        assert door.refusals() == {}


# Paths and methods.


def test_unknown_paths_and_methods():
    answer, _ = asked(get("/nowhere"))
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    answer, _ = asked(get("/v1/track"))
    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")
    answer, _ = asked(post("/health", b""))
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    answer, _ = asked(get("*", method="OPTIONS"))
    assert (answer.status, answer.headers["allow"]) == (200, "GET, POST, OPTIONS")


def test_head_is_get_without_a_body():
    async def test(door):
        for path in ("/health", f"/v1/projects/{KEY}/settings"):
            full = await door.ask(get(path))
            bare = await door.ask(get(path, method="HEAD"), head=True)
            assert (bare.status, bare.headers["content-length"]) == (200, str(len(full.body)))
        assert (await door.ask(get("/v1/track", method="HEAD"), head=True)).status == 405

    with_house(test)


def test_the_door_says_how_it_is():
    async def test(door):
        assert (await door.ask(get("/health"))).json == {"status": "ok"}
        assert (await door.ask(get("/version/"))).json == {"name": "customhouse", "version": "1.2.3"}
        assert (await door.ask(get("/robots.txt"))).body == b"User-agent: *\nDisallow: /\n"
        ready = await door.ask(get("/ready"))
        assert (ready.status, ready.headers["cache-control"]) == (200, "no-store")
        assert ready.json["oldest_undelivered_seconds"] == 1.5
        assert ready.json["log"] == {"failing": False, "seconds_since_failure": None}
        assert ready.json["disk"]["free_bytes"] > 0

    about = About(version="1.2.3", oldest_undelivered=lambda: 1.5)
    with_house(test, about=about, terms=Terms(folder="/", free_disk_bytes=0))


# Bad days.


class HeldLog(MemoryLog):
    """A log whose disk the test holds in its hands."""

    def __init__(self):
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.failing = False

    def append(self, topic, partition, body, count, at, key=b""):
        assert self.open.wait(20)
        if self.failing:
            raise Unavailable("the disk is gone")
        return super().append(topic, partition, body, count, at, key)


def test_a_log_that_fails_is_503_and_the_door_recovers_by_itself():
    log = HeldLog()
    good = post("/v1/track", track(), basic())

    async def test(door: House):
        log.failing = True
        answer = await door.ask(good)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert (await door.ask(get("/ready"))).status == 503
        assert (await door.ask(get("/health"))).status == 200
        log.failing = False
        assert (await door.ask(good)).status == 200
        assert (await door.ask(get("/ready"))).status == 200

    door = with_house(test, log=log)
    assert door.refusals() == {("shop", "refused:log_unavailable"): 1}
    assert len(door.envelopes()) == 1


def test_more_than_may_wait_is_503_until_the_disk_has_caught_up():
    log = HeldLog()
    body = {"batch": [track(x="x" * 20_000)] * 2}
    good = post("/v1/batch", body, basic())

    async def test(door: House):
        log.open.clear()
        waiting = [await Client.to(door.port) for _ in range(2)]
        for client in waiting:
            await client.send(good)
        await until(lambda: door.commit.health().uncommitted_bytes > 80_000)
        answer = await door.ask(good)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        log.open.set()
        for client in waiting:
            assert (await client.answer()).status == 200
            client.close()
        assert (await door.ask(good)).status == 200

    door = with_house(test, log=log, terms=Terms(max_uncommitted_bytes=100_000, tick=0.02))
    assert door.refusals() == {("shop", "refused:too_busy"): 1}


def test_a_nearly_full_disk_is_503(tmp_path):
    terms = Terms(folder=tmp_path, free_disk_bytes=1 << 60, tick=0.02)
    answer, door = asked(post("/v1/track", track(), basic()), terms=terms)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert door.refusals() == {("shop", "refused:disk_low"): 1}
    assert asked(get("/ready"), terms=terms)[0].json["disk"]["low"] is True


def test_connections_that_close_while_their_commit_is_under_way_stop_nobody():
    log = HeldLog()
    good = post("/v1/track", track(), basic())

    async def test(door: House):
        log.open.clear()
        clients = [await Client.to(door.port) for _ in range(20)]
        for client in clients:
            await client.send(good)
        await until(lambda: door.commit.health().uncommitted_bytes > 20 * 1024)
        for client in clients[::2]:
            client.reset()
        await asyncio.sleep(0.05)
        log.open.set()
        for client in clients[1::2]:
            assert (await client.answer()).status == 200
            client.close()
        assert (await door.ask(good)).status == 200

    door = with_house(test, log=log)
    assert len(door.envelopes()) == 21


def test_a_stop_finishes_what_is_under_way():
    log = HeldLog()

    async def test(door: House):
        log.open.clear()
        client = await Client.to(door.port)
        await client.send(post("/v1/track", track(), basic()))
        await until(lambda: door.commit.health().uncommitted_bytes)
        await door.ask(post("/v1/track", track(), basic("wrong")))
        door.stop.set()
        await asyncio.sleep(0.02)
        log.open.set()
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        client.close()
        await door.served
        with pytest.raises(ConnectionRefusedError):
            await Client.to(door.port)

    door = with_house(test, log=log, terms=Terms(tick=60))
    assert len(door.envelopes()) == 1
    assert door.refusals() == {("-", "refused:unknown_write_key"): 1}


# What is kept of a request.


def test_facts_of_receipt_are_reduced_to_what_may_be_kept():
    headers = (
        basic(),
        "User-Agent: Ümlaut/1.0",
        "Cookie: session=secret; _fbp=fb.1.2; OptanonConsent=groups%3DC0001",
        "Referer: https://me:pw@shop.example/p?token=abc&utm_source=x#frag",
        "Accept-Language: de-DE",
        "Sec-GPC: 1",
        "Sec-CH-UA: Chromium",
        "Sec-CH-UA-Mobile: ?0",
        "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "X-Forwarded-For: 203.0.113.77",
    )
    _, door = asked(
        post("/v1/track?writeKey=abc&x=1", track(), *headers),
        listen=ListenConfig(port=0, trusted_proxies=("127.0.0.0/8",)),
    )
    facts = door.envelopes()[0].facts
    assert facts.ip == "203.0.113.0"
    assert facts.user_agent == "Ümlaut/1.0"
    assert facts.cookies == {"_fbp": "fb.1.2", "OptanonConsent": "groups%3DC0001"}
    assert facts.referer == "https://shop.example/p?utm_source=x"
    assert (facts.language, facts.gpc, facts.host, facts.path, facts.query) == ("de-DE", True, "x", "/v1/track", "x=1")
    assert facts.client_hints == {"sec-ch-ua": "Chromium", "sec-ch-ua-mobile": "?0"}
    assert facts.traceparent == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    written = b"".join(frame.body for frame in door.frames())
    for secret in (b"secret", b"203.0.113.77", b"abc", KEY.encode(), b"pw@"):
        assert secret not in written


def test_without_trusted_proxies_nobody_is_believed():
    _, door = asked(post("/v1/track", track(), basic(), "X-Forwarded-For: 203.0.113.77"))
    assert door.envelopes()[0].facts.ip == "127.0.0.0"


# Configuration.


def test_a_reload_holds_from_the_next_request_on():
    async def test(door: House):
        client = await Client.to(door.port)
        old, new = (post("/v1/track", track(), basic(key)) for key in (KEY, "new-key"))
        assert (await client.ask(old)).status == 200
        limits = LimitsConfig(body_bytes=500)
        door.door.reload({"new": SourceConfig(write_key="new-key")}, limits, 8)
        assert (await client.ask(old)).status == 401
        assert (await client.ask(new)).status == 200
        assert [frame.config for frame in door.door_frames() if frame.envelopes] == [7, 8]
        assert door.envelopes()[-1].source == "new"
        assert (await client.ask(post("/v1/track", b"x" * 501, basic("new-key")))).status == 413
        client.close()

    with_house(test)


def test_a_refused_reload_leaves_everything_as_it_was():
    async def test(door: House):
        twice = {"a": SourceConfig(write_key="same"), "b": SourceConfig(write_key="same")}
        with pytest.raises(Misconfigured) as refused:
            door.door.reload(twice, LimitsConfig(), 8)
        assert "sources.b.write_key" in str(refused.value)
        assert "same'" not in str(refused.value)
        assert (await door.ask(post("/v1/track", track(), basic()))).status == 200

    with_house(test)


def test_the_door_works_on_the_log_on_disk(tmp_path):
    log = EmbeddedLog(tmp_path)
    try:
        answer, door = asked(post("/v1/batch", BATCH, basic()), log=log, terms=Terms(folder=tmp_path))
        assert answer.status == 200
        assert [len(envelope.letters) for envelope in door.envelopes()] == [2]
        assert log.last(RECEIVED_TOPIC, 0).total + log.last(RECEIVED_TOPIC, 0).count == 2
    finally:
        log.close()
