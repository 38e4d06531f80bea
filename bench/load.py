"""
The events that are measured: about 1.2 KB, a dozen properties with nested products, a hundred names, unique ids.

Names are spread as names are (a few make up most of the traffic); values differ from event to event. The same seed
makes the same events. A `Stamp` gives prepared bodies fresh ids, so that a million different events cost next to nothing.
"""

import base64
import json
import random
import uuid
from bisect import bisect
from itertools import accumulate
from typing import Any

from isal import igzip

KEY = "bench-key"
NAMES = [f"Event {nth}" for nth in range(100)]
BATCH = 100
SENT_AT = "2026-11-22T10:11:12.345Z"

_WEIGHTS = list(accumulate(1 / (rank + 1) for rank in range(len(NAMES))))
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"


def events(count: int, seed: int = 7) -> list[bytes]:
    """Return so many different events as JSON text, with unique message ids."""
    rng = random.Random(seed)
    return [json.dumps(_event(rng, nth), separators=(",", ":")).encode() for nth in range(count)]


def definitions() -> dict[str, dict[str, Any]]:
    """Return the tracking plan of these events: an entry for every name, with all properties."""
    text, amount = {"type": "string", "minLength": 1}, {"type": "number", "minimum": 0}
    product = {"product_id": text, "sku": text, "name": text, "price": amount, "quantity": {"type": "integer"}}
    properties = {
        **dict.fromkeys(("order_id", "affiliation", "coupon", "checkout_id", "path"), text),
        **dict.fromkeys(("total", "revenue", "shipping", "tax", "discount"), amount),
        "currency": {"type": "string", "enum": ["EUR", "USD", "GBP"]},
        "products": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "properties": product, "required": ["product_id"]},
        },
    }
    shape = {"version": "1.0.0", "owner": "bench", "description": "A bench event.", "requires": ["user_id"]}
    return {name: {"event": name, **shape, "properties": properties, "required": ["order_id"]} for name in NAMES}


def single(event: bytes) -> bytes:
    """Return the HTTP request that sends one event."""
    return _request("/v1/track", event)


def batch(bodies: list[bytes]) -> bytes:
    """Return the body of a batch."""
    return b'{"batch":[' + b",".join(bodies) + b'],"sentAt":"' + SENT_AT.encode() + b'"}'


def plain(body: bytes) -> bytes:
    """Return the HTTP request that sends a batch."""
    return _request("/v1/batch", body)


def gzipped(body: bytes, level: int = 2) -> bytes:
    """Return the HTTP request that sends a batch compressed."""
    return _request("/v1/batch", igzip.compress(body, compresslevel=level), "Content-Encoding: gzip")


class Stamp:
    """A prepared body that is sent again and again, each time with other message ids."""

    def __init__(self, bodies: list[bytes], seed: int) -> None:
        """Find where the ids stand in a batch of these events; `seed` keeps the ids of several stamps apart."""
        self._text = bytearray(batch(bodies) if len(bodies) > 1 else bodies[0])
        self._places = []
        at = 0
        for _ in bodies:
            at = self._text.index(b'"messageId":"', at) + len(b'"messageId":"')
            self._places.append(at)
        self._head = f"{seed:08x}-0000-4000-8000-"
        self._next = 0

    def press(self) -> bytes:
        """Return the body with ids nobody has seen."""
        text = self._text
        for at in self._places:
            text[at : at + 36] = f"{self._head}{self._next:012x}".encode()
            self._next += 1
        return bytes(text)

    def latest(self) -> list[str]:
        """Return the ids of the body pressed last."""
        count = len(self._places)
        return [f"{self._head}{nth:012x}" for nth in range(self._next - count, self._next)]


def _request(path: str, body: bytes, *extra: str) -> bytes:
    basic = base64.b64encode(f"{KEY}:".encode()).decode()
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1:8080",
        "User-Agent: analytics-python/2.4.0",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
        "Content-Type: application/json",
        f"Authorization: Basic {basic}",
        f"Content-Length: {len(body)}",
        *extra,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _event(rng: random.Random, nth: int) -> dict[str, Any]:
    return {
        "type": "track",
        "event": NAMES[bisect(_WEIGHTS, rng.random() * _WEIGHTS[-1])],
        "messageId": f"{nth:08x}-{uuid.UUID(int=rng.getrandbits(128))!s:.27}",
        "anonymousId": str(uuid.UUID(int=rng.getrandbits(128))),
        "userId": f"user-{rng.randrange(100_000)}",
        "timestamp": "2026-11-22T10:11:12.345Z",
        "context": {
            "library": {"name": "analytics-python", "version": "2.4.0"},
            "locale": "en-GB",
            "userAgent": _AGENT,
            "page": {"path": "/checkout", "url": f"https://shop.example/checkout?cart={rng.randrange(10**8)}"},
        },
        "properties": {
            "order_id": f"o-{rng.randrange(10**9)}",
            "affiliation": "web shop",
            "total": round(rng.uniform(1, 500), 2),
            "revenue": round(rng.uniform(1, 500), 2),
            "shipping": 4.9,
            "tax": round(rng.uniform(0, 50), 2),
            "discount": 0,
            "coupon": "WINTER",
            "currency": "EUR",
            "checkout_id": str(uuid.UUID(int=rng.getrandbits(128))),
            "path": "/checkout/thank-you",
            "products": [
                {
                    "product_id": f"p-{rng.randrange(10**6)}",
                    "sku": f"SKU-{rng.randrange(10**6)}",
                    "name": "A thing with a rather long name",
                    "price": round(rng.uniform(1, 100), 2),
                    "quantity": rng.randrange(1, 5),
                }
                for _ in range(3)
            ],
        },
        "integrations": {},
    }
