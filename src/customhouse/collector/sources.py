"""Sources by their keys: one immutable picture of the configuration, swapped whole when it changes."""

from collections.abc import Mapping

from msgspec import Struct

from customhouse.collector.config import LimitsConfig, SourceConfig
from customhouse.model.contracts import Limits
from customhouse.model.errors import Misconfigured, Problem


class Source(Struct, frozen=True):
    """What the door needs to know of a source."""

    name: str
    family: str
    """The protocol it speaks, or empty when that is to be found out."""
    enabled: bool


class Register:
    """The sources and limits in force, under the number of their configuration. Never changes."""

    __slots__ = ("_by_key", "config", "limits")

    def __init__(self, sources: Mapping[str, SourceConfig], limits: LimitsConfig, config: int) -> None:
        """Take sources by name, their keys resolved. Raises Misconfigured when two share a key."""
        problems = []
        self._by_key: dict[str, Source] = {}
        for name, source in sources.items():
            other = self._by_key.get(source.write_key)
            if other is not None:
                place = f"sources.{name}.write_key"
                problems.append(Problem(place, f"source {other.name!r} has the same key", "give each its own"))
            family = "" if source.protocol == "auto" else source.protocol
            self._by_key[source.write_key] = Source(name, family, source.enabled)
        if problems:
            raise Misconfigured(problems)
        self.limits: Limits = limits.limits()
        self.config = config

    def find(self, key: str) -> Source | None:
        """
        Return the source of a key.

        A dictionary compares the keyed hash of the text first, and the text only when that agrees in all its bits: time
        tells a guesser nothing.
        """
        return self._by_key.get(key)
