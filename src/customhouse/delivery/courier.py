"""
One attempt: pack a group, send the parcel, weigh the answer. What goes wrong comes back as a value, also our own bugs.

A destination's code may come from anybody. When it fails on an event, or answers for too few, that harms this event and
no other, so nothing raised there gets past this file.
"""

from collections.abc import Sequence
from time import perf_counter

from msgspec import Struct

from customhouse.delivery.retry.verdicts import Failure, is_alive, is_fault
from customhouse.delivery.sender import Patience, Sender
from customhouse.model.contracts import Destination, Fault, Parcel
from customhouse.model.event import Event
from customhouse.model.http import Response
from customhouse.model.lane import LaneConfig
from customhouse.model.outcome import Receipt, Rejected, Retry
from customhouse.telemetry.measure import Meter


class Packed(Struct, frozen=True):
    """The parcels of a group, or why there are none."""

    parcels: Sequence[Parcel]
    problem: str = ""


class Result(Struct, frozen=True):
    """What came of an attempt."""

    receipts: Sequence[Receipt] | Failure
    status: int
    """Of the HTTP answer; 0 when there was none."""

    @property
    def is_fault(self) -> bool:
        """Whether the destination was reached and failed."""
        return is_fault(self.receipts)

    @property
    def is_alive(self) -> bool:
        """Whether the destination took or refused something."""
        return is_alive(self.receipts)

    @property
    def word(self) -> str:
        """The answer as one documented word: `delivered`, or the reason of the trouble."""
        if isinstance(self.receipts, Failure):
            return self.receipts.reason
        troubles = {each.reason for each in self.receipts if isinstance(each, (Retry, Rejected))}
        return min(troubles) if troubles else "delivered"


class Courier:
    """Makes the attempts of one lane."""

    def __init__(
        self, name: str, destination: Destination, config: LaneConfig, sender: Sender, fault: Fault, meter: Meter
    ) -> None:  # fmt: skip
        """Serve one destination."""
        self.last = ""
        """Status and reason of the last attempt, without the destination's words."""
        self._name = name
        self._destination = destination
        self._patience = Patience(config.connect_seconds, config.timeout_seconds)
        self._sender = sender
        self._fault = fault
        self._meter = meter
        self._duration = meter.histogram("customhouse_lane_duration_seconds", destination=name)

    def pack(self, events: Sequence[Event], now: int) -> Packed:
        """Pack events; a failure names the kind of error only, since its text may hold data."""
        try:
            return Packed(list(self._destination.pack(events, now)))
        except Exception as error:  # noqa: BLE001  # whatever a destination's bug is, the lane finds the event it hits
            return Packed([], f"{type(error).__name__} while packing")

    async def deliver(self, parcel: Parcel) -> Result:
        """Send a parcel and weigh the answer."""
        began = perf_counter()
        answer = await self._send(parcel)
        self._duration.observe(perf_counter() - began)
        if isinstance(answer, Failure):
            result = Result(answer, 0)
        else:
            result = Result(self._weigh(parcel, answer), answer.status)
        self._tell(result)
        return result

    async def _send(self, parcel: Parcel) -> Response | Failure:
        try:
            self._fault(f"delivery.before_send:{self._name}")
            answer = await self._sender.send(parcel, self._patience, _traceparent(parcel.events))
            self._fault(f"delivery.after_send:{self._name}")
        except OSError as error:  # from a fault hook; the sender itself answers with values
            return Failure("unreachable", error.strerror or type(error).__name__)
        return answer

    def _weigh(self, parcel: Parcel, answer: Response) -> list[Receipt]:
        count = len(parcel.events)
        try:
            receipts = self._destination.weigh(parcel, answer)
        except Exception as error:  # noqa: BLE001  # see `pack`
            return [Retry("server_error", detail=f"{type(error).__name__} while weighing")] * count
        if len(receipts) != count:
            detail = f"{len(receipts)} receipts for {count} events"
            return [Retry("server_error", detail=detail)] * count
        return receipts

    def _tell(self, result: Result) -> None:
        """Count the attempt, in documented words."""
        self.last = f"{result.status} {result.word}" if result.status else result.word
        self._meter.counter("customhouse_attempts_total", destination=self._name, result=result.word).add()


def _traceparent(events: Sequence[Event]) -> str:
    """Return the trace all events belong to, or nothing when they belong to several or none."""
    found = {event.request.traceparent for event in events}
    return found.pop() if len(found) == 1 else ""
