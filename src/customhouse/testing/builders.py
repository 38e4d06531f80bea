"""
Builders of events for tests: name what matters to the test, the rest is an ordinary order of an ordinary shop.

Public, so that authors of stages and destinations elsewhere build their events the same way.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from customhouse.model.envelope import RequestFacts, event_id
from customhouse.model.event import Event

RECEIVED_AT = 1_767_268_800_000_000
"""Noon of the first of January 2026 in UTC, in microseconds: when built events were received."""

_FIRST_ID = bytes.fromhex("019b79720e0070008000000000000000")
_TEXTS = ("properties", "traits", "context", "integrations")
_USUAL = Event(
    id=_FIRST_ID,
    position=1,
    source="web",
    protocol="segment",
    type="track",
    name="Order Completed",
    message_id="message-1",
    user_id="user-1",
    anonymous_id="anonymous-1",
    group_id=None,
    previous_id=None,
    received_at=RECEIVED_AT,
    original_at=RECEIVED_AT - 1_000_000,
    sent_at=RECEIVED_AT,
    properties=b'{"order_id":"A-1","total":25.5,"currency":"EUR"}',
    traits=b"{}",
    context=b'{"library":{"name":"analytics-python","version":"2.4.0"}}',
    integrations=b"{}",
    request=RequestFacts(ip="203.0.113.0", user_agent="analytics-python/2.4.0"),
    order_key="anonymous-1",
    occurred_at=RECEIVED_AT - 1_000_000,
)


def event(**changes: Any) -> Event:
    """
    Return an event that differs from the usual one by the fields named.

    `properties`, `traits`, `context` and `integrations` may be JSON text (bytes) or mappings. Unless they are given,
    `id` and `message_id` follow from `position`, `order_key` from the ids, and `name` is empty unless it is a track.
    Raises TypeError for a field that does not exist.
    """
    position = changes.get("position", _USUAL.position)
    implied: dict[str, Any] = {
        "id": event_id(_FIRST_ID, position),
        "message_id": f"message-{position}",
        "order_key": changes.get("anonymous_id", _USUAL.anonymous_id) or changes.get("user_id", _USUAL.user_id) or "",
    }
    if changes.get("type", "track") != "track":
        implied["name"] = ""
        implied["properties"] = b"{}"
    for field in _TEXTS:
        if isinstance(changes.get(field), Mapping):
            changes[field] = msgspec.json.encode(changes[field])
    return msgspec.structs.replace(_USUAL, **(implied | changes))


def events(count: int, **changes: Any) -> list[Event]:
    """Return so many events at positions 1, 2, 3 … that share the changes and differ in their ids."""
    return [event(position=position, **changes) for position in range(1, count + 1)]
