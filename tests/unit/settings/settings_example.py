"""A configuration with every kind of field, for the tests of this room."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from customhouse.settings import SecretRef, tagged


class Webhook(Struct, frozen=True):
    """Send batches to an HTTP endpoint."""

    url: Annotated[str, Meta(pattern="^https?://", description="Where to send.")]
    secret: Annotated[SecretRef, Meta(description="Signs each request.")] | None = None
    batch: Annotated[int, Meta(ge=1, le=1000)] = 100
    """Most events of one request."""


class Lake(Struct, frozen=True):
    """Write Delta tables."""

    folder: str = "lake"
    """Where the tables stand."""
    every: Annotated[float, Meta(gt=0)] = 1.0
    """Seconds between commits."""


class Source(Struct, frozen=True):
    """One sender of events."""

    write_key: SecretRef
    """The key its SDKs send."""
    protocol: Literal["auto", "segment", "rudderstack"] = "auto"
    """Which family it speaks."""
    enabled: bool = True
    """Whether it may send."""


class Route(Struct, frozen=True):
    """Which events go where."""

    to: Annotated[list[str], Meta(min_length=1)]
    """Names of destinations."""
    when: dict[str, Any] = {}
    """What must hold of an event."""
    unless: "Route | None" = None
    """Events another route takes."""


class Limits(Struct, frozen=True):
    """How much is taken."""

    body_bytes: Annotated[int, Meta(ge=1024)] = 4096
    """Of one request."""
    retention: int | Literal["forever"] | None = None
    """Days, or for ever."""

    def __post_init__(self) -> None:
        if self.retention == 13:
            raise ValueError("thirteen days bring bad luck")


class Config(Struct, frozen=True):
    """The whole."""

    sources: Annotated[dict[Annotated[str, Meta(pattern="^[a-z]+$")], Source], Meta(min_length=1)]
    """By name."""
    destinations: dict[str, tagged({"webhook": Webhook, "lake": Lake})] = {}
    """By name."""
    routes: tuple[Route, ...] = ()
    """In order."""
    limits: Limits = field(default_factory=Limits)
    tags: frozenset[str] = frozenset()
    """Words of your own."""


GOOD = {
    "sources": {"web": {"write_key": "env:WEB_KEY"}},
    "destinations": {
        "crm": {"type": "webhook", "url": "https://crm.example/in", "secret": "file:crm.key"},
        "lake": {"type": "lake", "every": 2},
    },
    "routes": [{"to": ["crm", "lake"], "when": {"event": ["Order Completed"]}, "unless": {"to": ["lake"]}}],
    "limits": {"body_bytes": 8192, "retention": "forever"},
    "tags": ["a", "b"],
}
