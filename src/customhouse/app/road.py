"""The one road every event travels, in the order it travels it. Order is meaning: read each line with its question."""

from msgspec import Struct

from customhouse.app.configuration import Configuration
from customhouse.model.contracts import Stage, WireProtocol
from customhouse.model.outcome import Versions
from customhouse.pipeline.judgement import Road
from customhouse.plan.plan import Plan
from customhouse.protocols.rudderstack import RudderStack
from customhouse.protocols.segment import Segment
from customhouse.stages.clock import Clock
from customhouse.stages.dedupe import Dedupe, IdIndex
from customhouse.stages.routing import Routing
from customhouse.stages.validation import Validation


class Rules(Struct, frozen=True):
    """A configuration and a plan with the numbers they were accepted under."""

    configuration: Configuration
    plan: Plan
    versions: Versions


def protocols() -> dict[str, WireProtocol]:
    """Return every wire protocol this house speaks, by name."""
    return {protocol.name: protocol for protocol in (Segment(), RudderStack())}


def road(rules: Rules, index: IdIndex, secret: int) -> Road:
    """Return the road for one partition, whose ids `index` remembers."""
    said = rules.configuration
    stages: tuple[Stage, ...] = (
        Dedupe(index, said.dedupe.window_days, secret),  #           have we met?
        Clock(said.clock),  #                                        when did it truly happen?
        Validation(rules.plan, rules.versions.plan, said.plan),  #   is it what we agreed?
        Routing(said.routes, tuple(said.destinations)),  #           who is owed a copy?
    )
    return Road(stages, protocols(), rules.versions)
