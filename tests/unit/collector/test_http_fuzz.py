import asyncio
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback import Client, get, house, on_loop, post, track

PIECES = st.sampled_from(
    [
        b"GET /health HTTP/1.1\r\n",
        b"POST /v1/track HTTP/1.1\r\n",
        b"POST /v1/batch HTTP/1.0\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"Host: x\r\n",
        b"Authorization: Basic c2hvcC1rZXk6\r\n",
        b"Authorization: Basic \xff\xfe\r\n",
        b"Origin: https://\xe9\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: br\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Cookie: _fbp=\x80\xff; OptanonConsent=%00\r\n",
        b"\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b'{"a":1',
        b'{"batch":[{"type":"track"},1,null,"x"]}',
        b"\x1f\x8b\x08\x00",
        b"\x28\xb5\x2f\xfd",
        b"\x00",
    ]
)


def hostile(bodies):
    """Send each to one door; it may answer what it likes but a fault of its own, and must serve the next one well."""

    async def main():
        async with house() as door:
            for body in bodies:
                client = await Client.to(door.port)
                try:
                    await client.send(body)
                    client.writer.write_eof()
                except (ConnectionError, OSError):
                    pass
                answer = await client.rest()
                assert b"HTTP/1.1 5" not in answer, (body, answer)
                client.close()
                assert (await door.ask(post("/v1/track", track(writeKey="shop-key")))).status == 200
            assert (await door.ask(get("/ready"))).status == 200

    on_loop(main())


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.one_of(PIECES, st.binary(max_size=40)), min_size=1, max_size=10), max_size=10))
def test_no_bytes_make_it_fail(requests):
    hostile([b"".join(pieces) for pieces in requests])


def test_no_damage_to_a_good_request_makes_it_fail():
    rng = random.Random(11)
    good = post("/v1/batch", {"batch": [track(), track()]}, "Authorization: Basic c2hvcC1rZXk6") + get("/health")
    damaged = []
    for _ in range(200):
        body = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(body))
            match rng.randrange(4):
                case 0:
                    body[at] = rng.randrange(256)
                case 1:
                    del body[at : at + rng.randint(1, 20)]
                case 2:
                    body[at:at] = rng.randbytes(rng.randint(1, 10))
                case 3:
                    body[at:at] = body[at : at + 30]
        damaged.append(bytes(body))
    hostile(damaged)


def test_many_at_once_that_leave_in_the_middle():
    async def main():
        rng = random.Random(12)
        good = post("/v1/track", track(), "Authorization: Basic c2hvcC1rZXk6")

        async def visit(port):
            client = await Client.to(port)
            await client.send(good * 3 + good[: rng.randrange(len(good))])
            if rng.random() < 0.5:
                await client.answer()
            client.writer.transport.abort()

        async with house() as door:
            await asyncio.gather(*(visit(door.port) for _ in range(100)))
            assert (await door.ask(good)).status == 200
            assert (await door.ask(get("/ready"))).json["uncommitted_bytes"] == 0

    on_loop(main())
