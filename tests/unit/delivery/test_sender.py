import asyncio
import socket

from liar import Liar

from customhouse.delivery.retry.verdicts import Failure
from customhouse.delivery.sender import ANSWER_BYTES, HttpSender, Patience
from customhouse.model.contracts import Parcel

PATIENCE = Patience(1.0, 5.0)


def parcel(url: str) -> Parcel:
    return Parcel((), "POST", url, (("authorization", "Basic c2VjcmV0"), ("content-type", "application/json")), b"{}")


def send(answer, *, patience=PATIENCE, traceparent="", times=1):
    async def story():
        async with Liar(lambda _sent: answer) as liar, HttpSender("9", lambda parent: parent) as sender:
            found = [await sender.send(parcel(liar.url), patience, traceparent) for _ in range(times)]
            return found, liar.sent

    return asyncio.run(story())


def test_an_answer_comes_back_whole_with_small_header_names():
    (answer,), (sent,) = send((418, {"X-Why": "Tea"}, b"short and stout"), traceparent="00-trace")
    assert (answer.status, answer.headers["x-why"], answer.body) == (418, "Tea", b"short and stout")
    headers = {name.lower(): value for name, value in sent.headers.items()}
    assert headers["user-agent"] == "customhouse/9"
    assert headers["traceparent"] == "00-trace"
    assert headers["accept-encoding"] == "identity"


def test_no_trace_is_begun():
    _, (sent,) = send(200)
    assert "traceparent" not in {name.lower() for name in sent.headers}


def test_of_a_long_answer_only_the_beginning_is_read():
    answers, _ = send((200, {}, b"x" * (ANSWER_BYTES * 40)), times=3)
    assert [len(answer.body) for answer in answers] == [ANSWER_BYTES] * 3


def test_redirects_are_not_followed():
    (answer,), sent = send((307, {"Location": "/elsewhere"}, b""))
    assert answer.status == 307
    assert len(sent) == 1


def test_a_hang_is_a_timeout():
    (answer,), _ = send("hang", patience=Patience(1.0, 0.1))
    assert answer == Failure("timeout", "no answer within 0.1 s")


def test_a_reset_is_unreachable():
    (answer,), _ = send("reset")
    assert isinstance(answer, Failure) and answer.reason == "unreachable"


def test_no_listener_is_unreachable_and_the_address_stays_secret():
    async def story():
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            async with HttpSender("9", lambda parent: parent) as sender:
                urls = [f"http://ada:hunter2@127.0.0.1:{port}/in?key=hunter2", "http://hunter2[/", "hunter2://x"]
                return [await sender.send(parcel(url), PATIENCE, "") for url in urls]

    for answer in asyncio.run(story()):
        assert isinstance(answer, Failure) and answer.reason == "unreachable"
        assert "hunter2" not in answer.detail
