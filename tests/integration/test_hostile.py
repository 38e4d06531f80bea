"""
Hostile input at the public door of a running house.

Whatever comes: an answer below 500 or a closed connection, in bounded time and memory; the next good request is taken,
and the books balance to the last event.
"""

import gzip
import json
import random
import re
import socket
import subprocess
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from uuid import uuid4

import brotli
import pytest
import zstandard
from house import House
from knock import basic, raw, request, send

from customhouse.model.reasons import REASONS

MEGABYTE = 1024 * 1024
HEADERS = {"authorization": basic("integration-key"), "content-type": "application/json"}
HEAD = f"Host: door\r\nAuthorization: {HEADERS['authorization']}\r\n".encode()
IMPATIENT = {"header_timeout": 0.5, "body_timeout": 0.7, "idle_timeout": 1.0, "write_timeout": 1.0}
LARGEST_GROWTH = 192 * MEGABYTE


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One house with an impatient door for all tests."""
    with House(tmp_path_factory.mktemp("hostile") / "house", listen=IMPATIENT) as running:
        yield running


@pytest.fixture(autouse=True)
def _unharmed(house):
    """After every attack: the same process stands at the door, and the next good event is taken."""
    before = house.pids()["collector"]
    yield
    good = {"event": "Good", "anonymousId": "a", "messageId": str(uuid4())}
    assert send(house.url, good).status == 200
    assert house.pids()["collector"] == before, "the door was started again"
    assert "Traceback" not in house.log()


def fates(house):
    """Return what became of every event by its message id, once nothing is in flight and the books balance."""
    assert house.settled()["unaccounted"] == 0
    lines = house.cli("tail", "--no-follow", "--json", "--last", "1000000").stdout.splitlines()
    return {row["message_id"]: row["fate"] for row in map(json.loads, lines)}


def resident(pid):
    """Return the resident memory of a process in bytes."""
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, timeout=10, check=True)
    return int(done.stdout) * 1024


def post(house, body, path="/v1/batch", **headers):
    answer = request(house.url, "POST", path, body, HEADERS | {k.replace("_", "-"): v for k, v in headers.items()})
    assert answer.status < 500, answer
    return answer


def status(heard):
    """Return the status of what a raw connection heard, or None when it was closed without a word."""
    if not heard:
        return None
    line = heard.split(b"\r\n", 1)[0]
    assert line.startswith(b"HTTP/1.1 "), line
    return int(line.split()[1])


def batch(*events):
    return b'{"batch":[%b]}' % b",".join(events)


def track(properties=b"{}", message_id=None):
    name = json.dumps(message_id or str(uuid4())).encode()
    return b'{"type":"track","event":"E","anonymousId":"a","messageId":%b,"properties":%b}' % (name, properties)


BOMBS = {
    "gzip": lambda data: gzip.compress(data, 9),
    "deflate": lambda data: zlib.compress(data, 9),
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": lambda data: zstandard.compress(data, 3),
}


@pytest.mark.parametrize("coding", BOMBS)
def test_compression_bombs_cost_nobody_anything(house, coding):
    bomb = BOMBS[coding](batch(track(b'{"a":"' + b"A" * (100 * MEGABYTE) + b'"}')))
    assert len(bomb) < 4 * MEGABYTE
    pid = house.pids()["collector"]
    before = resident(pid)
    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(lambda _: post(house, bomb, content_encoding=coding), range(32)))
    assert {answer.status for answer in answers} <= {400, 413}
    assert {answer.json()["code"] for answer in answers} == {"body_inflates"}
    assert resident(pid) - before < LARGEST_GROWTH


@pytest.mark.parametrize("coding", BOMBS)
def test_broken_compression_is_refused(house, coding):
    packed = BOMBS[coding](batch(track()) * 50)
    for broken in (packed[: len(packed) // 2], packed[:4] + bytes(20) + packed[4:]):
        answer = post(house, broken, content_encoding=coding)
        assert answer.status == 400
        assert answer.json()["code"] in {"body_unreadable", "body_not_json"}


def test_a_bomb_within_a_bomb_stays_packed(house):
    inner = gzip.compress(bytes(50 * MEGABYTE))
    assert post(house, gzip.compress(inner), content_encoding="gzip").status in (400, 413)


DEEP = 50_000
ODD = {
    "deep arrays": track(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "deep objects": track(b'{"a":' * 3000 + b"1" + b"}" * 3000),
    "huge integer": track(b'{"n":' + b"9" * 5000 + b"}"),
    "huge exponent": track(b'{"n":1e999999999,"m":-1E+400,"k":1e-99999}'),
    "not a number": track(b'{"n":NaN,"m":Infinity,"k":-Infinity}'),
    "lone surrogates": track(b'{"s":"\\ud800","t":"\\udfff\\ud800"}', "lone"),
    "surrogate bytes": track(b'{"s":"\xed\xa0\xbc\xed\xbe\x89"}'),
    "invalid utf-8": track(b'{"s":"\xff\xfe\x80"}'),
    "nul": track(b'{"s":"\\u0000","\\u0000":1}'),
    "duplicate keys": b'{"type":"track","type":"page","event":"E","anonymousId":"a","anonymousId":"b","event":5}',
    "control characters": track(b'{"s":"a\x01\x02\tb"}'),
    "too large": track(b'{"s":"' + b"x" * 40_000 + b'"}'),
    "wrong types": b'{"type":5,"event":[],"anonymousId":{},"messageId":{"a":1},"timestamp":[],"properties":"x"}',
    "keys without end": track(b"{" + b",".join(b'"k%d":1' % n for n in range(4000)) + b"}"),
    "same key often": track(b"{" + b",".join(b'"k":1' for _ in range(5000)) + b"}"),
    "prototype": track(b'{"__proto__":{"x":1},"constructor":1,"$where":"1","a.b":1,"":0}'),
    "far times": b'{"type":"track","event":"E","anonymousId":"a","timestamp":"9999-12-31T23:59:59.999999Z"}',
    "no times": b'{"type":"track","event":"E","anonymousId":"a","timestamp":"-1-0-0T99:99:99","sentAt":1e308}',
    "no object": b"[1,2,3]",
    "a string": b'"track"',
    "null": b"null",
    "long id": b'{"type":"track","event":"E","anonymousId":"a","messageId":"' + b"m" * 20_000 + b'"}',
    "long name": b'{"type":"track","anonymousId":"a","event":"' + b"e" * 20_000 + b'"}',
}


def test_an_odd_event_harms_no_neighbour(house):
    before = house.settled()["acknowledged"]
    sent = {}
    for name, odd in ODD.items():
        left, right = (str(uuid4()) for _ in range(2))
        answer = post(house, batch(track(message_id=left), odd, track(message_id=right)))
        assert (answer.status, answer.receipt.endswith("+3")) == (200, True), (name, answer)
        sent[name] = left, right
    found = fates(house)
    assert house.balance()["acknowledged"] >= before + 3 * len(ODD)
    assert {name: {found.get(each) for each in ids} for name, ids in sent.items()} == {name: {"routed"} for name in ODD}


def test_what_is_kept_of_odd_events_is_valid_json_and_every_reason_is_documented(house):
    post(house, batch(*ODD.values()))
    house.settled()
    for row in house.sql("select properties, traits, context from events"):
        for text in row.values():
            json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in the lake"))
    held = house.cli_json("quarantine", "list", "--limit", "1000")
    assert {"event_too_large", "event_too_deep", "event_unreadable"} <= {entry["reason"] for entry in held}
    assert {entry["reason"] for entry in held} <= set(REASONS)
    for entry in held[:5]:
        assert json.loads(house.cli("quarantine", "show", entry["id"]).stdout)["remedy"]


BODIES = {
    "nothing": b"",
    "half": b'{"batch":[{"type":"track"',
    "depth": b'{"batch":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "depth without end": b"[" * 3_000_000,
    "no batch": b'{"batch":{}}',
    "utf-16": batch(track()).decode().encode("utf-16"),
    "utf-32": batch(track()).decode().encode("utf-32"),
    "latin-1": '{"batch":[{"type":"tr\xe4ck"}]}'.encode("latin-1"),
    "zip": b"PK\x03\x04" + bytes(100),
    "quotes": b'"' * 100_000,
    "commas": b'{"batch":[' + b"," * 100_000 + b"]}",
    "nulls": b'{"batch":[' + b"null," * 3000 + b"null]}",
    "too many": b'{"batch":[' + b"{}," * 3000 + b"{}]}",
}


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track", "/v1/import", "/beacon/v1/batch?writeKey=integration-key"])
def test_a_body_that_cannot_be_read_is_refused_or_kept(house, path):
    for name, body in BODIES.items():
        answer = post(house, body, path)
        assert answer.status == 200 or answer.json()["code"] in REASONS, (name, answer)


def test_random_bytes_are_answered(house):
    luck = random.Random(20260101)
    for _ in range(60):
        body = luck.randbytes(luck.randrange(1, 4000))
        coding = luck.choice(("gzip", "br", "zstd", "deflate", "identity", "x-unknown"))
        assert post(house, body, luck.choice(("/v1/batch", "/v1/t")), content_encoding=coding).status in (200, 400, 415)


def hear_all(house, attacks):
    """Return the status each of many connections ended with, several at a time: most must wait to be cut."""
    with ThreadPoolExecutor(16) as crowd:
        return [status(heard) for heard in crowd.map(lambda attack: raw(house.url, attack, seconds=5), attacks)]


def test_random_bytes_instead_of_http(house):
    luck = random.Random(20260102)
    attacks = [luck.randbytes(luck.randrange(1, 3000)) + b"\r\n\r\n" for _ in range(40)]
    assert set(hear_all(house, attacks)) <= {None, 400, 408, 431, 505}


def test_mutated_requests_are_answered_or_cut(house):
    luck = random.Random(20260103)
    body = batch(track())
    good = b"POST /v1/batch HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    attacks = []
    for _ in range(200):
        bad = bytearray(good)
        for _ in range(luck.randrange(1, 6)):
            bad[luck.randrange(len(bad))] = luck.randrange(256)
        attacks.append(bytes(bad))
    assert all(answered is None or answered < 500 or answered == 505 for answered in hear_all(house, attacks))


CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLING = {
    "length and chunked": b"POST /v1/track HTTP/1.1\r\n"
    + HEAD
    + b"Content-Length: 6\r\n"
    + CHUNKED
    + b"\r\n0\r\n\r\nX",
    "two lengths": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}abc",
    "list of lengths": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"Content-Length: 2, 5\r\n\r\n{}abc",
    "signed length": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"Content-Length: +2\r\n\r\n{}",
    "negative length": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"Content-Length: -2\r\n\r\n{}",
    "hex length": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"Content-Length: 0x2\r\n\r\n{}",
    "giant length": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "chunked twice": b"POST /v1/track HTTP/1.1\r\n" + HEAD + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
    "chunked, identity": b"POST /v1/track HTTP/1.1\r\n"
    + HEAD
    + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "hidden chunked": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"Content-Length : 2\r\n\r\n{}",
    "folded header": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    "bare line feeds": b"POST /v1/track HTTP/1.1\nHost: door\nContent-Length: 2\n\n{}",
    "bare carriage return": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"X-A: b\rContent-Length: 2\r\n\r\n{}",
    "nul in header": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"X-A: b\x00c\r\nContent-Length: 2\r\n\r\n{}",
    "chunk size overflow": b"POST /v1/track HTTP/1.1\r\n"
    + HEAD
    + CHUNKED
    + b"\r\nfffffffffffffffff1\r\n{}\r\n0\r\n\r\n",
    "chunk of lies": b"POST /v1/track HTTP/1.1\r\n" + HEAD + CHUNKED + b"\r\n2\r\n{}abc\r\n0\r\n\r\n",
    "two hosts": b"POST /v1/track HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}",
    "no host": b"POST /v1/track HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "chunked in 1.0": b"POST /v1/track HTTP/1.0\r\n" + HEAD + CHUNKED + b"\r\n0\r\n\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "endless header": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"X-A: " + b"a" * 200_000,
    "many headers": b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"".join(b"X-%d: 1\r\n" % n for n in range(2000)) + b"\r\n",
    "endless target": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
}
HIDDEN = b"POST /v1/track HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n%b"


def test_no_request_hides_behind_another(house):
    """What is framed in two ways is refused, and what stands behind it is not read as a request."""
    hidden = {}
    for name, attack in SMUGGLING.items():
        hidden[name] = str(uuid4())
        event = track(message_id=hidden[name])
        heard = raw(house.url, attack + HIDDEN % (len(event), event), seconds=5)
        answered = status(heard)
        assert answered is None or 400 <= answered < 500 or answered == 505, (name, heard[:300])
        assert len(re.findall(rb"HTTP/1\.1 \d{3} ", heard)) <= 1, f"{name}: the connection ends with the refusal"
    found = fates(house)
    assert [name for name, message_id in hidden.items() if message_id in found] == []


def test_slow_clients_are_cut_and_hold_up_nobody(house):
    place = urlsplit(house.url)
    where = (place.hostname, place.port)
    head = b"POST /v1/batch HTTP/1.1\r\n" + HEAD
    lines = [socket.create_connection(where, timeout=15) for _ in range(150)]
    try:
        for number, line in enumerate(lines):
            line.sendall(head[: 10 + number % 20] if number % 2 else head + b"Content-Length: 1000\r\n\r\n{")
        assert send(house.url, {"event": "Between", "anonymousId": "a"}).status == 200
        for line in lines:
            heard = b""
            while chunk := line.recv(4096):
                heard += chunk
            assert status(heard) in (None, 408)
    finally:
        for line in lines:
            line.close()


def test_a_client_that_trickles_is_cut_all_the_same(house):
    place = urlsplit(house.url)
    with socket.create_connection((place.hostname, place.port), timeout=15) as line:
        line.sendall(b"POST /v1/batch HTTP/1.1\r\n" + HEAD + b"Content-Length: 100000\r\n\r\n")
        for _ in range(200):
            try:
                line.sendall(b" ")
            except ConnectionError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("a trickling body was let in for ten seconds")


def test_a_client_that_never_reads_is_cut(house):
    pid = house.pids()["collector"]
    before = resident(pid)
    place = urlsplit(house.url)
    with socket.create_connection((place.hostname, place.port), timeout=3) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            for _ in range(20_000):
                line.sendall(b"GET /version HTTP/1.1\r\nHost: door\r\n\r\n" * 20)
        except (ConnectionError, TimeoutError):
            pass
    assert resident(pid) - before < LARGEST_GROWTH


def test_large_bodies_are_refused_before_they_cost_memory(house):
    pid = house.pids()["collector"]
    before = resident(pid)
    head = b"POST /v1/batch HTTP/1.1\r\n" + HEAD
    assert status(raw(house.url, head + b"Content-Length: 9999999999\r\n\r\n", seconds=5)) == 413
    piece = b"100000\r\n" + b"a" * MEGABYTE + b"\r\n"

    def pour(_):
        return status(raw(house.url, head + CHUNKED + b"\r\n", *[piece] * 40, seconds=5))

    with ThreadPoolExecutor(8) as crowd:
        assert set(crowd.map(pour, range(16))) <= {None, 413}
    assert resident(pid) - before < LARGEST_GROWTH


def test_after_all_of_it_the_books_balance(house):
    message_id = str(uuid4())
    assert send(house.url, {"event": "Last", "anonymousId": "a", "messageId": message_id}).status == 200
    assert fates(house)[message_id] == "routed"
    assert house.sql(f"select event from events where message_id = '{message_id}'") == [{"event": "Last"}]
