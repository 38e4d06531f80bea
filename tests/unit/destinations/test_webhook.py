import hashlib
import hmac

import pytest

from customhouse.destinations.webhook import Webhook, WebhookConfig, problems, sign
from customhouse.model.secret import Secret
from customhouse.testing.builders import event, events


def test_a_receiver_can_check_the_signature():
    configuration = WebhookConfig(url="https://example.com")
    (parcel,) = Webhook("hook", configuration, secret=Secret("s3cret")).pack(events(2), 1_700_000_000_500_000)
    signature = dict(parcel.headers)["x-customhouse-signature"]
    stamp, digest = (part.partition("=")[2] for part in signature.split(","))
    assert stamp == "1700000000"
    expected = hmac.new(b"s3cret", stamp.encode() + b"." + parcel.body, hashlib.sha256).hexdigest()
    assert digest == expected
    assert sign(Secret("other"), parcel.body, 1_700_000_000) != signature


def test_without_a_secret_nothing_is_signed():
    (parcel,) = Webhook("hook", WebhookConfig(url="https://example.com")).pack([event()], 0)
    assert "x-customhouse-signature" not in dict(parcel.headers)


def test_the_key_differs_between_destinations():
    def key(name: str) -> str:
        (parcel,) = Webhook(name, WebhookConfig(url="https://example.com")).pack([event()], 0)
        return dict(parcel.headers)["idempotency-key"]

    assert key("a") != key("b")


@pytest.mark.parametrize(
    ("url", "segment_url"),
    [
        ("https://api.example.com", "https://api.example.com/v1/batch"),
        ("https://api.example.com/base/", "https://api.example.com/base/v1/batch"),
        ("https://api.example.com/v1/batch", "https://api.example.com/v1/batch"),
    ],
)
def test_segments_path_is_added_once(url, segment_url):
    (parcel,) = Webhook("hook", WebhookConfig(url=url, format="segment")).pack([event()], 0)
    assert parcel.url == segment_url


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"url": "ftp://example.com"}, "d.url"),
        ({"url": "example.com"}, "d.url"),
        ({"url": "https://"}, "d.url"),
        ({"url": "https://[::1"}, "d.url"),
        ({"url": "https://example.com:99999"}, "d.url"),
        ({"url": "https://ada:pw@example.com"}, "d.url"),
        ({"format": "segment"}, "d.write_key"),
        ({"headers": {"Bad Name": "x"}}, "d.headers.Bad Name"),
        ({"headers": {"X-Ok": "line\r\nbreak"}}, "d.headers.X-Ok"),
    ],
)
def test_what_cannot_work_is_found_before_the_start(changes, place):
    configuration = WebhookConfig(**{"url": "https://example.com", **changes})
    assert [problem.place for problem in problems(configuration, "d")] == [place]
    assert problems(WebhookConfig(url="https://example.com", headers={"X-Ok": "fine"}), "d") == []


def test_a_server_is_never_taken_for_the_person():
    segment = Webhook("hook", WebhookConfig(url="https://example.com", format="segment"))
    (parcel,) = segment.pack([event()], 0)
    assert b"203.0.113.0" not in parcel.body
    (parcel,) = segment.pack([event(context={"direct": True})], 0)
    assert b"203.0.113.0" in parcel.body
