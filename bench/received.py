"""What the door would have written: frames of received events, ready for the pipeline."""

import time

from bench.load import BATCH, Stamp, events
from customhouse.collector.mint import Mint
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.contracts import Limits, Opened
from customhouse.model.envelope import Envelope, RequestFacts
from customhouse.model.frames import RECEIVED_TOPIC, DoorFrame, encode
from customhouse.wire.spec_batch import open_batch

REQUESTS = 4
"""Batches in one frame: what comes together while the disk is busy."""
_FACTS = RequestFacts(ip="203.0.113.0", user_agent="analytics-python/2.4.0", host="127.0.0.1:8080", path="/v1/batch")


def frames(count: int, seed: int = 1) -> list[tuple[bytes, int]]:
    """Return frames of so many different events, with the number of events in each."""
    mint, stamp = Mint(seed), Stamp(events(BATCH, seed), seed)
    found = []
    for _ in range(0, count, BATCH * REQUESTS):
        envelopes = [_envelope(mint, stamp.press()) for _ in range(REQUESTS)]
        found.append((encode(DoorFrame(1, 1, [], envelopes)), BATCH * REQUESTS))
    return found


def append(log: EmbeddedLog, made: list[tuple[bytes, int]]) -> None:
    """Write frames as the door would."""
    for body, count in made:
        log.append(RECEIVED_TOPIC, 0, body, count, time.time_ns() // 1000)


def _envelope(mint: Mint, body: bytes) -> Envelope:
    opened, now = open_batch(body, Limits()), time.time_ns()
    assert isinstance(opened, Opened)
    return Envelope(
        id=mint.id(now), source="bench", protocol="segment", route="batch", received_at=now // 1000,
        sent_at=opened.sent_at, shared=opened.shared, facts=_FACTS, letters=opened.letters,
    )  # fmt: skip
