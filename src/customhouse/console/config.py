"""What users may write about the console: where it listens, under which names it may be asked, and who may ask."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated

from msgspec import Meta, Struct

from customhouse.model.errors import Problem
from customhouse.settings.secret import SecretRef


class ConsoleConfig(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The web window on the house. Loopback only, unless somebody decides otherwise and sets a password or a token."""

    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes any free one.")] = 8081
    names: Annotated[
        tuple[str, ...],
        Meta(description="Host names besides the loopback ones under which browsers and scrapers may ask, no port."),
    ] = ()
    password: Annotated[
        SecretRef | None, Meta(description="What people type to get in. Needed to listen beyond this machine.")
    ] = None
    token: Annotated[
        SecretRef | None,
        Meta(description="What programs send as `Authorization: Bearer …`, such as a scraper of `/metrics`."),
    ] = None

    @property
    def local(self) -> bool:
        """Tell whether only this machine can reach it."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def problems(config: ConsoleConfig, place: str) -> Iterator[Problem]:
    """Yield what forbids to open this window: it would show the house to everybody on the network."""
    if not config.local and config.password is None and config.token is None:
        hint = f"set {place}.password to env:NAME or file:PATH, or keep host at 127.0.0.1"
        yield Problem(f"{place}.host", "the console listens beyond this machine only with a password or a token", hint)
