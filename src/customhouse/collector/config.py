"""
What users may write about the door: where it listens, who may send, how much it takes.

Every field says what it is for in its own metadata; reference pages and the JSON Schema for editors are made from that.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from customhouse.model.contracts import Limits

Seconds = Annotated[float, Meta(gt=0)]
Bytes = Annotated[int, Meta(ge=1)]


class CookieConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cookie in which the door keeps a browser's anonymous id, out of reach of scripts. Nobody has it by default."""

    enabled: Annotated[bool, Meta(description="True sets and renews the cookie with answers to browsers.")] = False
    name: Annotated[str, Meta(min_length=1, max_length=64, description="Name of the cookie.")] = "ch_anon"
    days: Annotated[
        int, Meta(ge=1, le=400, description="Days it lives after the last event; browsers cut it at 400.")
    ] = 395
    domain: Annotated[
        str, Meta(max_length=253, description="Domain it is sent to; empty for the very host that was asked.")
    ] = ""
    same_site: Annotated[
        Literal["lax", "strict", "none"], Meta(description="Whether pages of other sites send it; `none` needs https.")
    ] = "lax"
    secure: Annotated[
        bool | Literal["auto"],
        Meta(
            description="Whether it is sent by https only; `auto` when a trusted proxy says the client came by https."
        ),
    ] = "auto"


class ListenConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the door listens, and how patient it is with a connection."""

    host: Annotated[str, Meta(description="Address to listen on. The default serves this machine only.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 takes any free one.")] = 8080
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Networks (CIDR) of the proxies in front, whose word about the client's address is believed."),
    ] = ()
    proxy_header: Annotated[
        Literal["auto", "x-forwarded-for", "forwarded"],
        Meta(
            description="Header the proxies write the client's address to. `auto` reads X-Forwarded-For, else "
            "Forwarded; name the one your proxy sets, so that clients cannot slip in the other."
        ),
    ] = "auto"
    prefixes: Annotated[
        tuple[str, ...],
        Meta(
            description="Paths such as `/journal` under which everything for browsers is served once more, so that it "
            "can be a part of the site itself."
        ),
    ] = ()
    cookie: Annotated[CookieConfig, Meta(description="The anonymous-id cookie, off by default.")] = field(
        default_factory=CookieConfig
    )
    header_timeout: Annotated[Seconds, Meta(description="Seconds from a request's first byte to its last header.")] = 10
    body_timeout: Annotated[Seconds, Meta(description="Seconds from the last header to the last byte of the body.")] = (
        60
    )
    idle_timeout: Annotated[Seconds, Meta(description="Seconds an idle keep-alive connection stays open.")] = 75
    write_timeout: Annotated[Seconds, Meta(description="Seconds a client may leave its answers unread.")] = 30
    drain_timeout: Annotated[
        Seconds, Meta(description="Seconds that requests under way have to finish when the door closes.")
    ] = 10
    max_connections: Annotated[int, Meta(ge=1, description="Connections at once; more are answered 503.")] = 4096
    header_bytes: Annotated[Bytes, Meta(description="Largest request line and headers together.")] = 32 * 1024
    header_count: Annotated[int, Meta(ge=1, description="Most headers of one request.")] = 100
    url_bytes: Annotated[Bytes, Meta(description="Longest request target, query included.")] = 16 * 1024
    pipeline_depth: Annotated[
        int, Meta(ge=1, description="Requests of one connection under way before the door stops reading from it.")
    ] = 32
    buffered_bytes: Annotated[
        Bytes, Meta(description="Memory for bodies that are still arriving, over all connections; beyond it, 503.")
    ] = 256 * 1024 * 1024


class SourceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sender of events, known by its write key."""

    write_key: Annotated[
        str, Meta(min_length=1, description="The key its SDKs send: the text itself, `env:NAME` or `file:PATH`.")
    ]
    protocol: Annotated[
        Literal["auto", "segment", "rudderstack"],
        Meta(
            description="The family of SDKs it speaks. `auto` decides by route, else by content. It rules how shared "
            "routes are read; routes only the other family has are still served, in that family's way."
        ),
    ] = "auto"
    enabled: Annotated[bool, Meta(description="False refuses its events.")] = True

    def __repr__(self) -> str:
        """Leave out the key."""
        return f"SourceConfig(protocol={self.protocol!r}, enabled={self.enabled!r})"


class LimitsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much the door takes of one request, and how much it may hold."""

    event_bytes: Annotated[Bytes, Meta(description="Largest event; a larger one goes to quarantine whole.")] = 32 * 1024
    body_bytes: Annotated[Bytes, Meta(description="Largest body as it arrives, still compressed.")] = 4 * 1024 * 1024
    inflated_bytes: Annotated[Bytes, Meta(description="Largest body after unpacking.")] = 16 * 1024 * 1024
    inflated_ratio: Annotated[
        int, Meta(ge=1, description="How many times a body over one megabyte may grow when it is unpacked.")
    ] = 200
    batch_events: Annotated[int, Meta(ge=1, le=4096, description="Most events of one request.")] = 2500
    depth: Annotated[int, Meta(ge=1, le=512, description="Deepest JSON nesting within one event.")] = 64
    max_uncommitted_bytes: Annotated[
        Bytes, Meta(description="Bytes of events that may wait for the disk; beyond it the door answers 503.")
    ] = 64 * 1024 * 1024
    free_disk_bytes: Annotated[
        int, Meta(ge=0, description="Free disk space the door leaves alone; under it the door answers 503.")
    ] = 512 * 1024 * 1024

    def limits(self) -> Limits:
        """Return what protocols need to know of it."""
        return Limits(
            event_bytes=self.event_bytes,
            body_bytes=self.body_bytes,
            inflated_bytes=self.inflated_bytes,
            inflated_ratio=self.inflated_ratio,
            batch_events=self.batch_events,
            depth=self.depth,
        )
