"""The client against a door that answers as it is told to, over real sockets."""

import asyncio
import base64
import gzip
from collections import Counter
from contextlib import asynccontextmanager

import msgspec
import pytest
from openshop import KEY, on_loop, sent, wishes

from customhouse.demo import conduct as conducting
from customhouse.demo.mistakes import MISTAKES, shares
from customhouse.demo.pace import Pace
from customhouse.demo.tally import Tally, Times
from customhouse.demo.target import elsewhere
from customhouse.demo.wire import Piece
from customhouse.model.errors import Misconfigured, Unavailable

OK = (200, "", b'{"success":true}')


class Script:
    """Answers by the script, and with the last line of it for ever. Remembers what was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = head[0].split()
                answer = OK
                if method == "POST":
                    answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                self.requests.append((method, path, headers, body, answer and answer[0]))
                if answer is None:
                    return
                status, extra, said = answer
                writer.write(f"HTTP/1.1 {status} x\r\n{extra}Content-Length: {len(said)}\r\n\r\n".encode() + said)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def posts(self):
        return [request for request in self.requests if request[0] == "POST"]

    def ids(self):
        """Count how often each message id came."""
        found = Counter()
        for _, _, headers, body, _ in self.posts():
            text = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            read = msgspec.json.decode(text)
            found.update(event["messageId"] for event in read.get("batch", [read]))
        return found


@asynccontextmanager
async def scripted(*answers):
    script = Script(*answers)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    try:
        yield script, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def against(*answers, level="none", stop=None, look=lambda *_: None, **wanted):
    async def main():
        async with scripted(*answers) as (script, url):
            report = await sent(url, wishes(level, **({"events": 60} | wanted)), stop=stop, look=look)
        return script, report

    script, report = on_loop(main())
    assert report.sent == report.acknowledged + sum(report.refused.values()) + report.given_up
    return script, report


BUSY = (503, "Retry-After: 0\r\n", b'{"code":"too_busy"}')


@pytest.mark.parametrize("answer", [BUSY, (429, "Retry-After: 0\r\n", b""), (500, "", b""), (408, "", b""), None])
def test_what_passes_is_sent_again_under_the_same_ids(answer):
    script, report = against(answer, answer, OK)
    assert (report.sent, report.acknowledged, report.retries) == (60, 60, 2)
    counts = script.ids()
    assert len(counts) == 60
    assert sum(script.ids().values()) > 60, "some came twice"
    assert set(counts.values()) <= {1, 2, 3}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((400, "", b'{"code":"body_not_json","message":"x"}'), "body_not_json"),
        ((413, "", b"too large"), "status 413"),
        ((302, "Location: /x\r\n", b""), "status 302"),
        ((404, "", b'{"code":["x"]}'), "status 404"),
        ((400, "", b"\xff\xfe"), "status 400"),
    ],
)
def test_a_refusal_is_final_and_has_its_reason(answer, reason):
    script, report = against(answer, OK)
    assert report.retries == 0
    assert list(report.refused) == [reason]
    assert report.refused[reason] + report.acknowledged == 60
    assert max(script.ids().values()) == 1


def test_whoever_never_answers_is_given_up():
    script, report = against(BUSY, patience=0.2)
    assert (report.acknowledged, report.given_up) == (0, 60)
    assert report.retries > 0
    assert len(script.ids()) == 60


def test_a_door_may_ask_for_more_patience_than_there_is():
    script, report = against((503, "Retry-After: 30\r\n", b""), patience=5.0)
    assert (report.retries, report.given_up) == (0, 60), "nobody knocks again before the time"
    assert max(script.ids().values()) == 1


def test_an_unknown_key_ends_the_run_early():
    _, report = against((401, "", b'{"code":"unknown_write_key"}'), events=5000, rate=1000.0)
    assert report.acknowledged == 0
    assert list(report.refused) == ["unknown_write_key"]
    assert report.sent < 5000


def test_a_word_ends_a_run_that_has_no_end():
    stop = asyncio.Event()

    def look(tally, total):
        assert total == 0
        if tally.acknowledged > 30:
            stop.set()

    _, report = against(OK, stop=stop, look=look, events=0, seconds=0.0, rate=500.0)
    assert report.acknowledged == report.sent > 30


def test_a_word_is_obeyed_while_the_door_does_not_answer(monkeypatch):
    monkeypatch.setattr(conducting, "_GRACE", 0.1)
    stop = asyncio.Event()

    def look(tally, _total):
        if tally.retries > 3:
            stop.set()

    _, report = against(BUSY, stop=stop, look=look, events=0, rate=2000.0, in_flight=4)
    assert report.acknowledged == 0
    assert report.given_up == report.sent > 0


def test_nobody_there_is_told_with_the_next_step():
    async def main():
        async with scripted(OK) as (_, url):
            pass
        await sent(url, wishes())

    with pytest.raises(Unavailable, match="start it: customhouse run"):
        on_loop(main())


def test_requests_are_those_of_the_sdks():
    script, _ = against(OK, events=1500)
    asked = {path for method, path, *_ in script.requests if method == "OPTIONS"}
    first = {}
    for method, path, headers, _, _ in script.requests:
        first.setdefault((path, method), len(first))
        if method == "POST":
            assert headers["authorization"] == "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()
            assert "cookie" not in headers
    paths = {path for _, path, *_ in script.posts()}
    assert {"/v1/t", "/v1/p", "/v1/b", "/v1/track", "/v1/page", "/v1/batch"} <= paths
    assert {"/v1/t", "/v1/p", "/v1/track"} <= asked
    assert all(first[path, "OPTIONS"] < first[path, "POST"] for path in asked & paths)
    told = {(h["content-type"], h.get("content-encoding"), "origin" in h) for _, _, h, _, _ in script.posts()}
    assert {
        ("text/plain", None, True),
        ("application/json;charset=UTF-8", None, True),
        ("application/json", "gzip", False),
        ("application/json", None, False),
        ("application/x-www-form-urlencoded", "gzip", False),
    } == told
    rudder = [headers for _, path, headers, _, _ in script.posts() if path == "/v1/track"]
    assert all(base64.b64decode(headers["anonymousid"]) and headers["sentat"] for headers in rudder)


# Small parts.


def test_the_pace_does_not_drift():
    pace = Pace(50, 10)
    assert (pace.total, pace.due(0), pace.due(0.99), pace.due(9.999), pace.due(60)) == (500, 1, 50, 500, 500)
    assert not pace.over(499, 9.9)
    assert pace.over(500, 9.9)
    assert pace.over(3, 10), "a slow door does not make it longer"
    endless = Pace(7.5)
    assert (endless.total, endless.due(4), endless.over(10**9, 10**9)) == (0, 31, False)
    assert Pace(50, 10, 20).total == 20


def test_quantiles_are_within_two_hundredths():
    times = Times()
    assert (times.quantile(0.5), times.most) == (0.0, 0.0)
    for nth in range(1, 1001):
        times.add(nth / 1000)
    for share in (0.01, 0.5, 0.9, 0.99, 1.0):
        assert times.quantile(share) == pytest.approx(share, rel=0.021)
    assert times.most == 1.0


def test_reasons_without_end_are_gathered():
    tally, piece = Tally(), Piece(b"{}", "m", "page")
    for nth in range(80):
        tally.refuse([piece], f"reason {nth}")
    assert len(tally.refused) == 51
    assert sum(tally.refused.values()) == 80


def test_shares_add_up_to_the_level():
    assert sum(shares(0.2).values()) == pytest.approx(0.2 + shares(0.2)["link_missing"])
    assert set(shares("none").values()) == {0.0}
    assert shares("some", {"wrong_type": 0.5})["wrong_type"] == 0.5
    assert sum(mistake.weight for mistake in MISTAKES.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("level", "single", "words"),
    [
        ("plenty", {}, "none, some, many"),
        (1.5, {}, "0 to 1"),
        ("some", {"typo": 0.1}, "wrong_type"),
        ("some", {"wrong_type": 2.0}, "such as"),
        ("none", {"wrong_type": 0.7, "oversized": 0.7}, "lower some"),
    ],
)
def test_shares_that_cannot_be_are_refused(level, single, words):
    with pytest.raises(Misconfigured) as refused:
        shares(level, single)
    assert any(words in problem.hint for problem in refused.value.problems)


@pytest.mark.parametrize("url", ["ftp://x", "x", "http://user:secret@x", "http://x?writeKey=secret", ""])
def test_an_address_that_is_none_is_refused_without_telling_it(url, tmp_path):
    with pytest.raises(Misconfigured) as refused:
        elsewhere(url, "k", tmp_path)
    assert all("secret" not in f"{problem}" for problem in refused.value.problems)


def test_another_door_needs_its_key(tmp_path, monkeypatch):
    with pytest.raises(Misconfigured, match=r".*") as refused:
        elsewhere("http://x", "", tmp_path)
    assert "--write-key" in refused.value.problems[0].place
    (tmp_path / "key").write_text("abc\n")
    assert elsewhere("https://x/base/", "file:key", tmp_path).key.reveal() == "abc"
    monkeypatch.setenv("OTHER_KEY", "def")
    assert elsewhere("https://x/base/", "env:OTHER_KEY", tmp_path).key.reveal() == "def"
    assert elsewhere("https://x/base/", "k", tmp_path).url == "https://x/base"
