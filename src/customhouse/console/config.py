"""What users may write about the console: where it listens, and under which names it may be asked."""

from typing import Annotated

from msgspec import Meta, Struct


class ConsoleConfig(Struct, frozen=True):
    """The web window on the house. Loopback only, unless somebody decides otherwise."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8081
    """Port to listen on; 0 takes any free one."""
    names: tuple[str, ...] = ()
    """Host names besides the loopback ones under which browsers and scrapers may ask, without port."""
