"""What every destination must do, run over all of them. A new destination adds a line to `DESTINATIONS`."""

import math
from collections.abc import Callable

import pytest

from customhouse.destinations.webhook import Webhook, WebhookConfig
from customhouse.model.contracts import Destination
from customhouse.model.event import Event
from customhouse.model.http import Response
from customhouse.model.outcome import Delivered, Rejected, Retry
from customhouse.model.reasons import REASONS
from customhouse.model.secret import Secret
from customhouse.settings import undescribed
from customhouse.testing.builders import RECEIVED_AT, event, events

SECRET = "swordfish-and-more"


def webhook(**config) -> Destination:
    headers = {"x-key": Secret(SECRET + "-header")}
    configuration = WebhookConfig(url="https://example.com/in", **config)
    return Webhook("example", configuration, secret=Secret(SECRET), write_key=Secret(SECRET + "-key"), headers=headers)


DESTINATIONS: dict[str, Callable[[], Destination]] = {
    "webhook": webhook,
    "webhook, small": lambda: webhook(batch_events=3, batch_bytes=2000),
    "webhook, segment": lambda: webhook(format="segment", write_key="env:KEY", batch_events=7),
}
EVENTS: list[Event] = [
    *events(20),
    event(position=21, properties={"text": "é" * 30_000}),
    event(position=22, type="alias", user_id=None, previous_id="x", original_at=10**18, context={"ip": "1.2.3.4"}),
    event(position=23, type="page", name="\ud800".encode("utf-8", "replace").decode(), traits={"a": [1, None]}),
]


@pytest.fixture(params=DESTINATIONS)
def destination(request: pytest.FixtureRequest) -> Destination:
    return DESTINATIONS[request.param]()


def test_every_event_is_carried_once_and_in_order(destination: Destination) -> None:
    carried = [each.position for parcel in destination.pack(EVENTS, RECEIVED_AT) for each in parcel.events]
    assert carried == [each.position for each in EVENTS]


def test_parcels_respect_the_limits_unless_one_event_alone_exceeds_them(destination: Destination) -> None:
    for parcel in destination.pack(EVENTS, RECEIVED_AT):
        assert len(parcel.events) <= destination.limits.events
        assert len(parcel.body) <= destination.limits.bytes or len(parcel.events) == 1


def test_same_events_make_the_same_parcels(destination: Destination) -> None:
    assert list(destination.pack(EVENTS, RECEIVED_AT)) == list(destination.pack(EVENTS, RECEIVED_AT))


def test_what_was_one_parcel_is_one_parcel_again(destination: Destination) -> None:
    for parcel in destination.pack(EVENTS, RECEIVED_AT):
        assert list(destination.pack(parcel.events, RECEIVED_AT)) == [parcel]


def test_the_key_names_the_events_and_not_the_time(destination: Destination) -> None:
    def keys(now: int) -> list[str]:
        return [dict(parcel.headers)["idempotency-key"] for parcel in destination.pack(EVENTS, now)]

    assert keys(RECEIVED_AT) == keys(RECEIVED_AT + 86_400_000_000)
    assert len(set(keys(RECEIVED_AT))) == len(keys(RECEIVED_AT))


def test_nothing_makes_no_parcel(destination: Destination) -> None:
    assert list(destination.pack([], RECEIVED_AT)) == []


@pytest.mark.parametrize("body", [b"", b"fine", b"{}", b"[]", b'{"success":true}', b"\xff", b'{"errors":7.5e999', b"{"])
@pytest.mark.parametrize(
    "status", [200, 201, 204, 301, 400, 401, 403, 404, 408, 410, 413, 422, 429, 500, 502, 503, 599]
)
def test_one_receipt_per_event_whatever_the_answer(destination: Destination, status: int, body: bytes) -> None:
    for parcel in destination.pack(EVENTS, RECEIVED_AT):
        receipts = destination.weigh(parcel, Response(status, {}, body))
        assert len(receipts) == len(parcel.events)
        for receipt in receipts:
            assert isinstance(receipt, Delivered) or receipt.reason in REASONS


def test_statuses_mean_the_same_everywhere(destination: Destination) -> None:
    parcel = next(destination.pack(EVENTS, RECEIVED_AT))

    def receipt(status: int, **headers: str) -> object:
        return destination.weigh(parcel, Response(status, headers, b""))[0]

    assert isinstance(receipt(200), Delivered)
    assert receipt(429, **{"retry-after": "7"}) == Retry("throttled", 7.0, "429")
    assert receipt(503, **{"retry-after": "nonsense"}) == Retry("server_error", None, "503")
    assert {type(receipt(status)) for status in (301, 401, 403, 408, 429, 500, 502, 503)} == {Retry}
    assert {type(receipt(status)) for status in (400, 404, 405, 410, 413, 415, 422)} == {Rejected}
    assert isinstance(found := receipt(401), Retry) and found.reason == "unauthorized"


@pytest.mark.parametrize(
    "asked", ["-5", "1e3", "\uff19", "99999999999999999999", "Thu, 01 Jan 2026 25:00:00 GMT", "\u00b2"]
)
def test_strange_waits_are_harmless(destination: Destination, asked: str) -> None:
    parcel = next(destination.pack(EVENTS, RECEIVED_AT))
    (first, *_) = destination.weigh(parcel, Response(429, {"retry-after": asked, "date": "yesterday"}, b""))
    assert isinstance(first, Retry)
    assert first.after is None or (first.after >= 0 and math.isfinite(first.after))


def test_an_error_inside_a_success_delivers_nothing(destination: Destination) -> None:
    parcel = next(destination.pack(EVENTS, RECEIVED_AT))
    for body in (b'{"success":false}', b'{"error":"no"}', b'{"errors":["no"]}', b'{"errors":[{"index":99}]}'):
        assert {type(each) for each in destination.weigh(parcel, Response(200, {}, body))} == {Retry}


def test_no_secret_shows(destination: Destination) -> None:
    parcel = next(destination.pack(EVENTS, RECEIVED_AT))
    echo = "x" * 490 + "".join(value for _, value in parcel.headers) + SECRET
    words = [repr(each) for each in destination.weigh(parcel, Response(400, {}, echo.encode()))]
    for text in (repr(destination), repr(parcel), str(destination), *words):
        assert SECRET not in text
        assert "swordf" not in text
        assert "c3dvcmRma" not in text


def test_every_option_is_described() -> None:
    assert undescribed(WebhookConfig) == []
