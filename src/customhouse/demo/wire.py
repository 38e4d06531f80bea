"""
Calls as the SDKs of both families write them: fields, contexts, ids and times, each in its own way.

Facts: what the official SDKs were seen to send. The stream's calls become `Draft`s here, which mistakes may still
spoil; `finish` makes bytes of them.
"""

import random
import uuid
from typing import Any

import msgspec
from msgspec import Struct

from customhouse.demo import shop
from customhouse.demo.people import Person
from customhouse.demo.traffic import Happening
from customhouse.demo.visits import Step, Visit
from customhouse.wire import times

_encode = msgspec.json.Encoder().encode

SEGMENT_WEB = "analytics.js"
RUDDER_WEB = "RudderLabs JavaScript SDK"
SEGMENT_PYTHON = "analytics-python"
SEGMENT_NODE = "@segment/analytics-node"
RUDDER_PYTHON = "analytics-python (RudderStack)"
RUDDER_NODE = "analytics-node (RudderStack)"
BROWSERS = (SEGMENT_WEB, RUDDER_WEB)
_SERVERS = {"segment": (SEGMENT_PYTHON, SEGMENT_NODE), "rudderstack": (RUDDER_PYTHON, RUDDER_NODE)}
_VERSIONS = {
    SEGMENT_PYTHON: {"name": "analytics-python", "version": "2.4.0"},
    SEGMENT_NODE: {"name": "@segment/analytics-node", "version": "3.1.0"},
    RUDDER_PYTHON: {"name": "analytics-python", "version": "2.1.9"},
    RUDDER_NODE: {"name": "analytics-node", "version": "3.0.13"},
}


class Draft(Struct):
    """One event as an SDK has written it, before it is text."""

    sender: str
    """The SDK."""
    event: dict[str, Any]
    visit: Visit
    at: int
    """When it happened, in microseconds since 1970."""
    last: bool
    """Whether its visit ends with it."""
    mistake: str = ""
    fate: str = ""
    """The account of the books it should end in, when that is not delivery."""
    skew: int = 0
    """By how many microseconds the sender's clock is wrong."""
    raw: bytes = b""
    """What is sent instead of the event's JSON text."""


class Piece(Struct):
    """One event ready to be sent: text, and what has to be known when it is answered."""

    body: bytes
    message_id: str
    label: str
    mistake: str = ""
    fate: str = ""
    skew: int = 0


class Scribe:
    """Writes drafts. Message ids follow from the seed and the start, like everything."""

    def __init__(self, seed: int, start: int, families: tuple[str, ...]) -> None:
        """Write as the SDKs of these families do."""
        self._rng = random.Random(f"{seed} {start} ids")  # noqa: S311  # names of messages, not secrets
        self._servers = tuple(name for family in families for name in _SERVERS[family])

    def draft(self, happening: Happening) -> Draft:
        """Return the call as its SDK writes it."""
        step, visit = happening.step, happening.visit
        if step.origin == "browser":
            sender = SEGMENT_WEB if visit.device.family == "segment" else RUDDER_WEB
        else:
            # One of the shop's services tells everything of one visit, so that nothing overtakes.
            sender = self._servers[visit.session % len(self._servers)]
        write = _WRITERS[sender]
        event = write(step, visit, times.format(happening.at // 1000 * 1000), self._id(sender, happening.at))
        return Draft(sender, event, visit, happening.at, happening.last)

    def _id(self, sender: str, at: int) -> str:
        text = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        if sender == SEGMENT_WEB:
            return f"ajs-next-{at // 1000}-{text}"
        return f"node-next-{at // 1000}-{text}" if sender == SEGMENT_NODE else text


def finish(draft: Draft) -> Piece:
    """Return a draft as text."""
    event = draft.event
    label = f"{event['type']} {event['event']}" if event.get("event") else event["type"]
    body = draft.raw or _encode(event)
    return Piece(body, event["messageId"], label, draft.mistake, draft.fate, draft.skew)


# What all SDKs write.


def _base(step: Step, time: str, message_id: str) -> dict[str, Any]:
    event: dict[str, Any] = {"timestamp": time, "type": step.type, "messageId": message_id}
    if step.type == "track":
        event |= {"event": step.name, "properties": step.said}
    elif step.type == "page":
        event |= {"name": step.name, "properties": step.said}
    elif step.type in ("identify", "group"):
        event["traits"] = step.said
    if step.user_id:
        event["userId"] = step.user_id
    if step.type == "group":
        event["groupId"] = step.group_id
    if step.type == "alias":
        event["previousId"] = step.previous_id
    return event


def _page(step: Step, visit: Visit) -> dict[str, str]:
    """Return where the browser is; the first page is told with what brought people to it."""
    search = "" if visit.landed else visit.arrival.search
    url = f"{shop.ORIGIN}{step.path}{search}"
    referrer = f"{shop.ORIGIN}/" if visit.landed else visit.arrival.referrer
    return {"path": step.path, "referrer": referrer, "search": search, "title": step.title, "url": url}


def _campaign(visit: Visit) -> dict[str, Any]:
    return {"campaign": visit.arrival.campaign} if visit.arrival.campaign and not visit.landed else {}


def _traits(person: Person) -> dict[str, str]:
    return {"email": person.email, "name": person.name, "plan": person.plan}


# Browsers.


def _segment_web(step: Step, visit: Visit, time: str, message_id: str) -> dict[str, Any]:
    person, device = visit.person, visit.device
    event = _base(step, time, message_id) | {"anonymousId": step.anonymous_id, "integrations": {}}
    event["context"] = {
        "page": _page(step, visit),
        "userAgent": device.agent,
        "locale": person.locale,
        "library": {"name": "analytics.js", "version": "npm:next-1.84.3"},
        "timezone": person.timezone,
        **_campaign(visit),
        **(step.consent.segment() if step.consent else {}),
    }
    event["_metadata"] = {"bundled": ["Segment.io"], "unbundled": [], "bundledIds": []}
    visit.landed = True
    return event


def _rudder_web(step: Step, visit: Visit, time: str, message_id: str) -> dict[str, Any]:
    """Write as analytics-js does: traits of identify stand in the context, and a direct visit has a word."""
    person, device = visit.person, visit.device
    event = _base(step, time, message_id)
    event["originalTimestamp"] = event.pop("timestamp")
    page = _page(step, visit)
    width, height, density = device.screen
    traits = _traits(person) if device.signed_in else {}
    event["context"] = {
        "traits": event.pop("traits", traits) if step.type == "identify" else traits,
        "sessionId": visit.session,
        **({} if visit.landed else {"sessionStart": True}),
        "library": {"name": RUDDER_WEB, "version": "3.34.1"},
        "userAgent": device.agent,
        "os": {"name": device.os, "version": device.os_version},
        "locale": person.locale,
        "screen": {"width": width, "height": height, "density": density},
        "page": page
        | {"referrer": page["referrer"] or "$direct", "initial_referrer": visit.arrival.referrer or "$direct"},
        "timezone": person.timezone,
        **_campaign(visit),
        **(step.consent.rudderstack() if step.consent else {}),
    }
    visit.landed = True
    return event | {"channel": "web", "anonymousId": step.anonymous_id, "integrations": {"All": True}}


# Servers.


def _server(step: Step, visit: Visit, sender: str) -> dict[str, Any]:
    """Return the context the shop's own server gives: what it knows of the browser it works for."""
    context: dict[str, Any] = {"library": _VERSIONS[sender], "locale": visit.person.locale}
    if step.anonymous_id:
        context |= {"userAgent": visit.device.agent, "page": _page(step, visit), **_campaign(visit)}
    if step.group_id:
        context["groupId"] = step.group_id
    visit.landed = visit.landed or bool(step.anonymous_id)
    return context


def _segment_python(step: Step, visit: Visit, time: str, message_id: str) -> dict[str, Any]:
    event = _base(step, time[:-1] + "+00:00", message_id)
    context = _server(step, visit, SEGMENT_PYTHON) | (step.consent.segment() if step.consent else {})
    return {"userId": None} | event | {"anonymousId": step.anonymous_id or None, "integrations": {}, "context": context}


def _segment_node(step: Step, visit: Visit, time: str, message_id: str) -> dict[str, Any]:
    event = _base(step, time, message_id)
    if step.anonymous_id:
        event["anonymousId"] = step.anonymous_id
    context = _server(step, visit, SEGMENT_NODE) | (step.consent.segment() if step.consent else {})
    return event | {
        "integrations": {},
        "context": context,
        "_metadata": {"nodeVersion": "v22.11.0", "jsRuntime": "node"},
    }


def _rudder_python(step: Step, visit: Visit, time: str, message_id: str) -> dict[str, Any]:
    """Write as rudder-sdk-python does: traits of identify stand in the context alone, and the channel tells it apart."""
    event = _base(step, time[:-1] + "+00:00", message_id)
    context = _server(step, visit, RUDDER_PYTHON) | (step.consent.rudderstack() if step.consent else {})
    if step.type == "identify":
        context["traits"] = event.pop("traits")
    event |= {"anonymousId": step.anonymous_id or None, "integrations": {"All": True}, "context": context}
    return {"userId": None} | event | {"channel": "server"}


def _rudder_node(step: Step, visit: Visit, time: str, message_id: str) -> dict[str, Any]:
    event = _base(step, time, message_id)
    event["originalTimestamp"] = event.pop("timestamp")
    context = _server(step, visit, RUDDER_NODE) | (step.consent.rudderstack() if step.consent else {})
    if step.type == "identify":
        context["traits"] = event["traits"]
    if step.anonymous_id:
        event["anonymousId"] = step.anonymous_id
    event |= {"integrations": {"All": True}, "context": context}
    return event | {"channel": "server", "_metadata": {"nodeVersion": "22.11.0"}}


_WRITERS = {
    SEGMENT_WEB: _segment_web,
    RUDDER_WEB: _rudder_web,
    SEGMENT_PYTHON: _segment_python,
    SEGMENT_NODE: _segment_node,
    RUDDER_PYTHON: _rudder_python,
    RUDDER_NODE: _rudder_node,
}
