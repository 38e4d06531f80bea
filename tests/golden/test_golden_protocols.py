"""
Cases of wire protocols, to be read: a request as it comes, the events made of it, the reply it gets, and why it matters.

A header `X-Body: gzip` in `request.http` says that the test packs the body before it hands it in.
"""

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from customhouse.model.contracts import Limits, Refusal
from customhouse.model.envelope import Envelope, RequestFacts
from customhouse.model.event import Event
from customhouse.model.http import Request
from customhouse.protocols.rudderstack import RudderStack
from customhouse.protocols.segment import Segment
from customhouse.wire import times
from customhouse.wire.compression import inflate
from customhouse.wire.ids import hex_id

FOLDER = Path(__file__).parent / "protocols"
CASES = sorted(path.parent for path in FOLDER.glob("*/*/request.http"))
PROTOCOLS = {protocol.name: protocol for protocol in (Segment(), RudderStack())}
LIMITS = Limits()
RECEIVED_AT = 1_795_341_602_000_000
BASE = bytes.fromhex("019ab2f4c8d07000800000000000f000")
PARTS = ("properties", "traits", "context", "integrations")
TIMES = ("received_at", "original_at", "sent_at")
UNTOLD = {"request", "source", "protocol", "position", "fingerprint"}


def read_request(path):
    head, _, body = path.read_bytes().partition(b"\n\n")
    first, *lines = head.decode().splitlines()
    method, target, _version = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = body.removesuffix(b"\n")
    if headers.pop("x-body", "") == "gzip":
        body = gzip.compress(body)
    where, _, query = target.partition("?")
    return Request(method, where, query, headers, body, "192.0.2.1")


def route_of(protocol, request):
    for route in protocol.routes:
        parts, asked = route.path.split("/"), request.path.rstrip("/").split("/")
        fits = len(parts) == len(asked) and all(p in ("{}", a) for p, a in zip(parts, asked, strict=True))
        if fits and route.method == request.method:
            return route
    raise AssertionError(request.path)


def told(answer):
    """Tell what is not as usual, in types people read."""
    if not isinstance(answer, Event):
        return {"quarantine": answer.reason, "detail": answer.detail}
    usual = {field.name: field.default for field in msgspec.structs.fields(Event)}
    fields = {name: value for name, value in msgspec.structs.asdict(answer).items() if name not in UNTOLD}
    fields |= {name: times.format(fields[name]) for name in TIMES if fields[name] is not None}
    fields |= {name: json.loads(fields[name]) for name in PARTS}
    fields |= {"id": hex_id(answer.id), "flags": list(answer.flags)}
    return {name: value for name, value in fields.items() if value not in (None, {}, [], usual[name])}


def play(protocol, request):
    """Return what the request becomes, and the reply it gets."""
    route = route_of(protocol, request)
    key = protocol.key(request, route)
    if not route.ingest:
        request.base = f"https://{request.headers.get('host')}/journal"  # as the door works it out
        return {"write_key": key}, protocol.answer(request, route, key)
    body = inflate(request.body, request.headers.get("content-encoding", ""), LIMITS)
    if isinstance(body, Refusal):
        return {"write_key": key, "refused": body.reason}, protocol.refused(body, route)
    request.body = body
    opened = protocol.open(request, route, LIMITS)
    if isinstance(opened, Refusal):
        return {"write_key": key, "refused": opened.reason}, protocol.refused(opened, route)
    envelope = Envelope(
        BASE,
        "web",
        protocol.name,
        route.word,
        RECEIVED_AT,
        opened.sent_at,
        opened.shared,
        RequestFacts(),
        opened.letters,
    )
    answers = protocol.read(envelope, opened.letters, range(len(opened.letters)))
    return {"write_key": key or opened.write_key, "events": [told(a) for a in answers]}, protocol.accepted(route)


def written(reply):
    lines = [f"HTTP/1.1 {reply.status}", f"Content-Type: {reply.content_type}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    return "\n".join(lines) + f"\n\n{reply.body.decode()}\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_requests_become_events(case, golden):
    found, reply = play(PROTOCOLS[case.parent.name], read_request(case / "request.http"))
    golden(case / "events.json", json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    golden(case / "reply.http", written(reply))
    assert (case / "why.txt").read_text().strip()


def test_every_protocol_has_cases():
    assert {case.parent.name for case in CASES} == set(PROTOCOLS)
