"""Striking the balance of a workspace: who reads what, in which order, so that a running house can be counted."""

from customhouse.delivery.settle import LANES, RETRYING, marks
from customhouse.ledger.balance import Balance, Delivery, LaneMarks, Pipeline, strike
from customhouse.ledger.books import flows
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.contracts import State
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC
from customhouse.pipeline.settle import place

__all__ = ["LANES", "balance_of"]


def balance_of(log: EmbeddedLog, pipeline: State, delivery: State) -> Balance:
    """
    Strike the balance of one moment.

    The delivery is read first and the pipeline after it: a lane can then never seem to have more than it is owed. Each
    is read in one piece.
    """
    with delivery.moment():
        delivered = Delivery(flows(delivery), _lanes(delivery))
    with pipeline.moment():
        judged = Pipeline(flows(pipeline), _received(log, pipeline), _owed(log, pipeline))
    return strike(log, delivered, judged)


def _lanes(delivery: State) -> dict[str, LaneMarks]:
    upto: dict[str, dict[int, int]] = {}
    for (lane, partition), mark in marks(delivery).items():
        upto.setdefault(lane, {})[partition] = mark.upto
    retrying: dict[str, int] = {}
    after = b""
    while page := delivery.scan(RETRYING, after=after, limit=10_000):
        for key, _ in page:
            lane = key.partition(b"/")[0].decode()
            retrying[lane] = retrying.get(lane, 0) + 1
        after = page[-1][0]
    return {lane: LaneMarks(upto.get(lane, {}), retrying.get(lane, 0)) for lane in {*upto, *retrying}}


def _received(log: EmbeddedLog, pipeline: State) -> dict[int, tuple[int, int]]:
    places = {partition: place(pipeline, RECEIVED_TOPIC, partition) for partition in log.partitions(RECEIVED_TOPIC)}
    return {partition: (at.position, at.total) for partition, at in places.items()}


def _owed(log: EmbeddedLog, pipeline: State) -> dict[int, int]:
    return {partition: place(pipeline, OWED_TOPIC, partition).position for partition in log.partitions(OWED_TOPIC)}
