"""
Who is really calling: the client's address behind trusted proxies, and what of an address may be kept.

Forwarding headers are written by anybody, so they are read from the right, and only as far as trusted proxies wrote.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from customhouse.model.errors import Misconfigured, Problem

_Address = IPv4Address | IPv6Address
_REMEMBERED = 1024


def parse(text: str) -> _Address | None:
    """Return an address as headers write them: with or without port, brackets and quotes; None when it is none."""
    text = text.strip().strip('"').strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def truncate(text: str) -> str:
    """Return what of an address may be kept: the /24 of IPv4, the /48 of IPv6; empty when it is no address."""
    address = parse(text)
    if address is None:
        return ""
    bits = 24 if address.version == 4 else 48
    return str(ip_network((address, bits), strict=False).network_address)


class Proxies:
    """The proxies in front of the door, and which header they write."""

    def __init__(self, networks: Iterable[str], header: str = "auto") -> None:
        """Take networks as CIDR text. Raises Misconfigured with every one that is not a network."""
        problems = []
        self._networks = []
        for text in networks:
            try:
                self._networks.append(ip_network(text, strict=False))
            except ValueError:
                problems.append(Problem("listen.trusted_proxies", f"{text!r} is no network", "such as 10.0.0.0/8"))
        if problems:
            raise Misconfigured(problems)
        self._header = header
        self._known: dict[str, bool] = {}
        """Whether the peers seen lately are proxies: their connections carry many requests."""

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._networks)

    def trust(self, peer: str) -> bool:
        """Say whether the other end of a connection is one of them."""
        found = self._known.get(peer)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            address = parse(peer)
            found = self._known[peer] = address is not None and self._trusts(address)
        return found

    def client(self, peer: str, headers: dict[str, str]) -> str:
        """Return the client's address: the first from the right that is no trusted proxy; empty when unreadable."""
        if not self.trust(peer):
            return peer
        address = parse(peer)
        for hop in reversed(self._hops(headers)):
            address = parse(hop)
            if address is None:
                return ""
            if not self._trusts(address):
                break
        return str(address)

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)

    def _hops(self, headers: dict[str, str]) -> list[str]:
        plain = headers.get("x-forwarded-for", "") if self._header != "forwarded" else ""
        if plain or self._header == "x-forwarded-for":
            return plain.split(",") if plain else []
        named = headers.get("forwarded", "")
        return [_for(element) for element in named.split(",")] if named else []


def _for(element: str) -> str:
    """Return the `for` of one element of a Forwarded header (RFC 7239); empty when it names none."""
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value
    return ""
