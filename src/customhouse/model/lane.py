"""
What can be set for any lane, whatever destination it leads to.

Every destination's own configuration extends this, so that users find order, patience and budgets under the same words
everywhere.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Order = Literal["key", "none"]
Overflow = Literal["keep", "expire"]
Positive = Annotated[float, Meta(gt=0)]


class LaneConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a lane sends, how patient it is, and what happens when its destination falls too far behind."""

    order: Annotated[
        Order,
        Meta(
            description="`key`: later events of a person wait behind one that must be tried again. `none`: they flow."
        ),
    ] = "key"
    linger_seconds: Annotated[
        float, Meta(ge=0, description="How long a batch that is not full waits for more events.")
    ] = 0.5
    connect_seconds: Annotated[Positive, Meta(description="How long connecting may take.")] = 5.0
    timeout_seconds: Annotated[Positive, Meta(description="How long one request may take, answer included.")] = 30.0
    retry_base_seconds: Annotated[
        Positive, Meta(description="Upper bound of the first random wait after a failure; it doubles with each.")
    ] = 0.5
    retry_cap_seconds: Annotated[
        Positive, Meta(description="No wait is longer than this, not even one the destination asks for.")
    ] = 600.0
    deadline_hours: Annotated[
        Positive,
        Meta(description="How long after its first try an event is tried again, before it counts as rejected."),
    ] = 72.0
    breaker_failures: Annotated[
        int, Meta(ge=1, description="After so many failures in a row the lane stops trying for a while.")
    ] = 5
    breaker_seconds: Annotated[Positive, Meta(description="How long it then stops.")] = 30.0
    parked_probe_seconds: Annotated[
        Positive, Meta(description="How often a lane whose credentials were refused tries them again by itself.")
    ] = 900.0
    retrying_events: Annotated[
        int, Meta(ge=1, description="How many events may be in retry by themselves before the lane stops advancing.")
    ] = 10_000
    backlog_hours: Annotated[
        Positive | None, Meta(description="An alert is raised when the oldest undelivered event is older.")
    ] = 24.0
    backlog_events: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="An alert is raised when more events than this wait.")
    ] = None
    on_overflow: Annotated[
        Overflow,
        Meta(description="Beyond the backlog budget: `keep` everything, or `expire` the oldest, still replayable."),
    ] = "keep"
