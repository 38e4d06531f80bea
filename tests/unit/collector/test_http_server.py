import asyncio
import socket

import pytest
from loopback import Client, get, http, on_loop, post, until

from customhouse.collector.later import Later
from customhouse.model.http import Reply


class Echo:
    """Answers with what was asked; holds back the answers to paths under /later until they are released."""

    body_bytes = 1000

    def __init__(self):
        self.seen = []
        self.held = {}
        self.refused = []

    def handle(self, request):
        self.seen.append(request)
        if request.path.startswith("/later"):
            self.held[request.path] = later = Later()
            return later
        if request.path == "/broken":
            raise RuntimeError("on purpose")
        if request.path == "/large":
            return Reply(200, b"x" * 100_000)
        return Reply(200, request.body or request.path.encode(), "text/plain")

    def release(self, path):
        self.held.pop(path).set(Reply(200, path.encode(), "text/plain"))

    def refuse(self, request, reason):
        self.refused.append((request.path, reason))
        return Reply(413 if reason == "body_too_large" else 503, reason.encode())


def spoken(talk, **listen):
    """Run `talk(client, echo)` against an echo host; whatever happened, the server must still serve others."""

    async def main():
        echo = Echo()
        async with http(echo, **listen) as (port, server):
            client = await Client.to(port)
            await talk(client, echo)
            client.close()
            other = await Client.to(port)
            assert (await other.ask(get("/still-there", "Connection: close"))).body == b"/still-there"
            other.close()
            return server

    return on_loop(main())


def test_a_connection_serves_one_request_after_the_other():
    async def talk(client, echo):
        for nth in range(3):
            answer = await client.ask(post(f"/{nth}", b"body"))
            assert (answer.status, answer.body) == (200, b"body")
        assert [request.path for request in echo.seen] == ["/0", "/1", "/2"]
        assert "date" in answer.headers

    spoken(talk)


def test_pipelined_answers_come_in_the_order_of_their_questions():
    async def talk(client, echo):
        await client.send(get("/later/1") + get("/now") + get("/later/2") + get("/last"))
        await until(lambda: len(echo.held) == 2)
        echo.release("/later/2")
        await asyncio.sleep(0.02)
        echo.release("/later/1")
        bodies = [(await client.answer()).body for _ in range(4)]
        assert bodies == [b"/later/1", b"/now", b"/later/2", b"/last"]

    spoken(talk)


def test_no_more_is_read_than_may_be_under_way():
    async def talk(client, echo):
        await client.send(get("/later/0") + get("/later/1"))
        await until(lambda: len(echo.seen) == 2)
        await client.send(get("/later/2"))
        await asyncio.sleep(0.05)
        assert len(echo.seen) == 2
        echo.release("/later/0")
        await until(lambda: len(echo.seen) == 3)
        echo.release("/later/1")
        echo.release("/later/2")
        assert [(await client.answer()).body for _ in range(3)] == [b"/later/0", b"/later/1", b"/later/2"]

    spoken(talk, pipeline_depth=2)


def test_a_request_may_come_byte_by_byte():
    async def talk(client, echo):
        for byte in post("/slow?x=1", b"hello", "Cookie: a=1", "Cookie: b=2", "X-Thing: yes \t"):
            await client.send(bytes([byte]))
        assert (await client.answer()).body == b"hello"
        request = echo.seen[0]
        assert (request.method, request.path, request.query) == ("POST", "/slow", "x=1")
        assert request.headers["cookie"] == "a=1; b=2"
        assert request.headers["x-thing"] == "yes"
        assert request.peer == "127.0.0.1"

    spoken(talk)


def test_chunked_bodies_are_put_together_and_trailers_are_not_headers():
    async def talk(client, echo):
        chunks = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nAuthorization: late\r\nHost: late\r\n\r\n"
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await client.ask(head + chunks)).body == b"abcde"
        assert echo.seen[0].headers == {"host": "x", "transfer-encoding": "chunked"}
        assert (await client.ask(get("/next"))).body == b"/next"

    spoken(talk)


def test_a_client_that_asks_first_is_told_to_go_on():
    async def talk(client, echo):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        assert (await client.ask(head)).status == 100
        assert (await client.ask(b"ok")).body == b"ok"

    spoken(talk)


def test_going_on_waits_for_the_answers_before_it():
    async def talk(client, echo):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        await client.send(get("/later") + head)
        await until(lambda: "/later" in echo.held)
        echo.release("/later")
        assert (await client.answer()).body == b"/later"
        assert (await client.answer()).status == 100
        assert (await client.ask(b"ok")).body == b"ok"

    spoken(talk)


def test_a_body_that_is_announced_too_large_is_not_asked_for():
    async def talk(client, echo):
        head = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n"
        assert (await client.ask(head)).status == 413
        assert echo.refused == [("/p", "body_too_large")]

    spoken(talk)


def test_head_is_answered_without_a_body():
    async def talk(client, echo):
        answer = await client.ask(get("/path", method="HEAD"), head=True)
        assert (answer.status, answer.headers["content-length"]) == (200, "5")
        assert (await client.ask(get("/next"))).body == b"/next"

    spoken(talk)


@pytest.mark.parametrize(
    ("request_bytes", "connection"),
    [
        (get("/", version="1.0"), "close"),
        (get("/", "Connection: keep-alive", version="1.0"), "keep-alive"),
        (get("/", "Connection: close"), "close"),
        (get("/", "Connection: keep-alive"), "keep-alive"),
    ],
)
def test_connections_are_kept_as_the_client_wants(request_bytes, connection):
    async def talk(client, echo):
        answer = await client.ask(request_bytes)
        assert answer.headers["connection"] == connection
        if connection == "close":
            assert await client.rest() == b""
        else:
            assert (await client.ask(get("/again"))).body == b"/again"

    spoken(talk)


def test_a_client_that_closed_its_side_still_gets_its_answer():
    async def talk(client, echo):
        await client.send(get("/later"))
        client.writer.write_eof()
        await until(lambda: "/later" in echo.held)
        await asyncio.sleep(0.02)
        echo.release("/later")
        assert (await client.answer()).body == b"/later"
        assert await client.rest() == b""

    spoken(talk)


def test_absolute_targets_are_read_as_paths():
    async def talk(client, echo):
        assert (await client.ask(get("http://elsewhere/p?q=1"))).body == b"/p"
        assert echo.seen[0].query == "q=1"
        assert (await client.ask(get("http://elsewhere"))).body == b"/"

    spoken(talk)


SMUGGLING = {
    "length and chunked": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    "signed length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    "huge length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
    "empty length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc",
    "folded header": b"GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\n folded\r\n\r\n",
    "space before colon": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc",
    "almost chunked": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "not chunked": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\nabc",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked not last": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "more than chunked": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "prefixed chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "chunk ended by newline": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    "lines ended by newline": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare return": b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
    "zero byte": b"GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "HTTP/2 in words": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9 in words": b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "upgrade": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "tunnel": b"CONNECT y:1 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_what_can_be_read_in_two_ways_is_not_read(name):
    async def talk(client, echo):
        await client.send(SMUGGLING[name] + get("/smuggled"))
        answer = await client.answer()
        assert answer.status == 400
        assert set(answer.json) == {"code", "message"}
        assert answer.headers["connection"] == "close"
        client.writer.write_eof()
        assert await client.rest() == b""
        assert echo.seen == []

    spoken(talk)


def test_a_fault_is_answered_after_what_was_asked_before():
    async def talk(client, echo):
        await client.send(get("/later") + b"nonsense\r\n\r\n")
        await until(lambda: "/later" in echo.held)
        echo.release("/later")
        assert (await client.answer()).body == b"/later"
        assert (await client.answer()).status == 400

    spoken(talk)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/" + "x" * 200), 414),
        (get("/", *(f"A{nth}: b" for nth in range(20))), 431),
        (get("/", *("Cookie: b" for _ in range(20))), 431),
        (get("/", "A: " + "b" * 600), 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 600, 431),
        (b"\r\n" * 400, 431),
        (post("/", b"", "Expect: the-unexpected"), 417),
    ],
)
def test_heads_are_bounded(request_bytes, status):
    async def talk(client, echo):
        assert (await client.ask(request_bytes)).status == status
        assert echo.seen == []

    spoken(talk, url_bytes=100, header_count=10, header_bytes=512)


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 1001\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1f4\r\n" + b"x" * 500 + b"\r\n1f5\r\n" + b"x" * 501,
        b"Transfer-Encoding: chunked\r\n\r\n1;" + b"e" * 40_000,
    ],
)
def test_bodies_are_bounded_before_they_have_come(body):
    async def talk(client, echo):
        answer = await client.ask(b"POST /p HTTP/1.1\r\nHost: x\r\n" + body)
        assert (answer.status, answer.body) == (413, b"body_too_large")
        assert echo.refused == [("/p", "body_too_large")]
        assert echo.seen == []

    spoken(talk)


def test_a_client_that_sends_on_after_a_refusal_sees_the_answer_not_a_reset():
    async def talk(client, echo):
        await client.send(b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n")
        await client.send(b"x" * 3_000_000)
        assert (await client.answer()).status == 413

    spoken(talk)


def test_bodies_under_way_are_bounded_in_sum():
    async def main():
        echo = Echo()
        async with http(echo, buffered_bytes=1200) as (port, _):
            first, second = await Client.to(port), await Client.to(port)
            head = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
            await first.send(head + b"x" * 900)
            await asyncio.sleep(0.02)
            assert (await second.ask(head + b"x" * 900)).body == b"too_busy"
            assert (await first.ask(b"x" * 100)).status == 200
            third = await Client.to(port)
            await third.send(head + b"x" * 900)
            await asyncio.sleep(0.02)
            assert (await third.ask(b"x" * 100)).status == 200
            for client in (first, second, third):
                client.close()

    on_loop(main())


def test_a_slow_head_is_cut():
    async def talk(client, echo):
        await client.send(b"GET / HT")
        answer = await client.answer()
        assert answer.status == 408
        client.writer.write_eof()
        assert await client.rest() == b""

    spoken(talk, header_timeout=0.1)


def test_a_slow_body_is_cut_though_it_keeps_trickling():
    async def talk(client, echo):
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n")

        async def trickle():
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.01)

        trickling = asyncio.ensure_future(trickle())
        assert (await client.answer()).status == 408
        trickling.cancel()

    spoken(talk, body_timeout=0.1)


def test_an_idle_connection_is_closed_without_a_word():
    async def talk(client, echo):
        assert (await client.ask(get("/"))).status == 200
        assert await client.rest() == b""

    spoken(talk, idle_timeout=0.1)


def test_a_connection_that_says_nothing_is_closed():
    async def talk(client, echo):
        assert await client.rest() == b""

    spoken(talk, header_timeout=0.1)


def test_a_client_that_waits_for_us_is_not_cut():
    async def talk(client, echo):
        await client.send(get("/later"))
        await asyncio.sleep(0.2)
        echo.release("/later")
        assert (await client.answer()).body == b"/later"

    spoken(talk, idle_timeout=0.05, header_timeout=0.05)


def test_a_client_that_does_not_read_is_not_read_and_then_cut():
    async def main():
        echo = Echo()
        async with http(echo, write_timeout=0.2) as (port, server):
            lazy = socket.create_connection(("127.0.0.1", port))
            lazy.setblocking(False)
            loop = asyncio.get_running_loop()
            sent = 0
            try:
                while True:
                    # Ends when nobody reads our questions any more and the cut is noticed.
                    await asyncio.wait_for(loop.sock_sendall(lazy, get("/large") * 10), 10)
                    sent += 10
            except ConnectionError:
                pass
            lazy.close()
            assert len(echo.seen) < sent + 10 + 16_384 // len(get("/large"))
            await until(lambda: not server._connections)

    on_loop(main())


def test_too_many_connections_are_told_so():
    async def main():
        async with http(Echo(), max_connections=1) as (port, _):
            first = await Client.to(port)
            assert (await first.ask(get("/"))).status == 200
            second = await Client.to(port)
            answer = await second.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert await second.rest() == b""
            assert (await first.ask(get("/"))).status == 200
            first.close()
            second.close()

    on_loop(main())


def test_a_connection_that_is_gone_when_its_answer_comes_harms_nobody():
    async def main():
        echo = Echo()
        async with http(echo) as (port, server):
            gone, there = await Client.to(port), await Client.to(port)
            await gone.send(get("/later/gone"))
            await there.send(get("/later/there"))
            await until(lambda: len(echo.held) == 2)
            gone.reset()
            await until(lambda: len(server._connections) == 1)
            echo.release("/later/gone")
            echo.release("/later/there")
            assert (await there.answer()).body == b"/later/there"
            there.close()

    on_loop(main())


@pytest.mark.parametrize("path", ["/broken", "/later"])
def test_a_fault_of_the_host_is_an_answer_too(path, caplog):
    async def talk(client, echo):
        await client.send(get(path))
        if path == "/later":
            await until(lambda: path in echo.held)
            echo.held[path].set(None)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (500, "close")
        assert b"on purpose" not in answer.body

    spoken(talk)
    assert "failed" in caplog.text


def test_a_drain_finishes_what_is_under_way_and_closes_what_is_idle():
    async def main():
        echo = Echo()
        async with http(echo) as (port, server):
            idle, busy, half = [await Client.to(port) for _ in range(3)]
            await idle.ask(get("/"))
            await busy.send(get("/later"))
            await half.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
            await until(lambda: "/later" in echo.held)
            await asyncio.sleep(0.02)
            draining = asyncio.ensure_future(server.drain())
            assert await idle.rest() == b""
            await half.send(b"b")
            assert (await half.answer()).headers["connection"] == "close"
            echo.release("/later")
            answer = await busy.answer()
            assert (answer.body, answer.headers["connection"]) == (b"/later", "close")
            await draining
            for client in (idle, busy, half):
                assert await client.rest() == b""
                client.close()

    on_loop(main())


def test_a_drain_does_not_wait_for_ever():
    async def main():
        async with http(Echo(), drain_timeout=0.1) as (port, server):
            stuck = await Client.to(port)
            await stuck.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
            await until(lambda: server._connections)
            await asyncio.sleep(0.02)
            await server.drain()
            assert await stuck.rest() == b""
            stuck.close()

    on_loop(main())
