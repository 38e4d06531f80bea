import asyncio
import logging
import socket

import msgspec
import pytest
from aiohttp import ClientSession

from customhouse.console.config import ConsoleConfig
from customhouse.console.serve import Health, Sources, Standing, host_name, serve
from customhouse.model.errors import Misconfigured, Unavailable
from customhouse.settings import decode, undescribed


def sources(*, ok=True, standing=Standing(1204331, 212, 0)):  # noqa: B008  it is frozen
    def books():
        if standing is None:
            raise Unavailable("the books do not answer")
        return standing

    return Sources(
        metrics=lambda: b"customhouse_unaccounted_events 0\n",
        health=lambda: Health(ok, {"collector": "ready" if ok else "does not answer"}),
        standing=books,
    )


def ask(path, *, method="GET", host=None, config=ConsoleConfig(port=0), shown=None):  # noqa: B008  it is frozen
    """Serve, ask one thing, stop; return status, headers and body."""

    async def run():
        stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serve(config, shown or sources(), stop, port.set_result))
        await asyncio.wait({server, port}, return_when=asyncio.FIRST_COMPLETED)
        try:
            async with ClientSession() as session:
                url = f"http://127.0.0.1:{port.result()}{path}"
                headers = {} if host is None else {"Host": host}
                async with session.request(method, url, headers=headers) as answer:
                    return answer.status, answer.headers, await answer.text()
        finally:
            stop.set()
            await server

    return asyncio.run(run())


def test_metrics_are_plain_text():
    status, headers, body = ask("/metrics")
    assert (status, body) == (200, "customhouse_unaccounted_events 0\n")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_health_is_also_a_status():
    status, headers, body = ask("/health")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert msgspec.json.decode(body) == {"ok": True, "parts": {"collector": "ready"}}
    status, _, body = ask("/health", shown=sources(ok=False))
    assert status == 503
    assert "does not answer" in body


def test_the_page_says_how_the_books_stand():
    status, headers, body = ask("/")
    assert status == 200
    assert "1,204,331 events accounted for; 212 in flight; unaccounted 0" in body
    assert 'href="/metrics"' in body and 'href="/health"' in body
    assert headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/", "/metrics", "/health", "/none"])
def test_every_answer_is_hardened(path):
    _, headers, _ = ask(path)
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "customhouse"


def test_what_does_not_answer_is_said_plainly():
    status, headers, body = ask("/", shown=sources(standing=None))
    assert (status, headers["Retry-After"], body) == (503, "5", "the books do not answer\n")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8081", "127.0.0.1.evil.example", "[::1]x", ""]
)
def test_foreign_host_names_are_refused(host):
    assert ask("/metrics", host=host)[0] == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8081", "127.0.0.1:1", "[::1]:8081", "metrics.internal:8081"])
def test_own_host_names_are_let_in(host):
    assert ask("/metrics", host=host, config=ConsoleConfig(port=0, names=("Metrics.internal",)))[0] == 200


def test_only_reading_is_possible():
    assert ask("/metrics", method="POST")[0] == 405


def test_requests_leave_no_noise(caplog):
    caplog.set_level(logging.DEBUG)
    ask("/metrics")
    ask("/none")
    assert [r.getMessage() for r in caplog.records if r.name.startswith("aiohttp")] == []


def test_a_taken_port_is_a_problem_of_the_configuration():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ConsoleConfig(port=taken.getsockname()[1])
        with pytest.raises(Misconfigured, match="cannot listen on"):
            asyncio.run(serve(config, sources(), asyncio.Event(), lambda _port: None))


def test_names_lose_their_port():
    assert [host_name(h) for h in ("a:1", "A.", "[::1]:8081", "[::1]", "", "a b")] == [
        "a",
        "a",
        "[::1]",
        "[::1]",
        "",
        "a b",
    ]


def test_the_configuration_is_described_and_decoded():
    assert undescribed(ConsoleConfig) == []
    assert decode(ConsoleConfig, {"port": 9000}, "c.yaml") == (ConsoleConfig(port=9000), [])
    assert len(decode(ConsoleConfig, {"port": 70000, "host": ""}, "c.yaml")[1]) == 2
