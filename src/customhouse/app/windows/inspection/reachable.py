"""Whether destinations can be reached: name, connection, TLS handshake, and how long the certificate lasts. Sends no event."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from customhouse.app.configuration import Configuration
from customhouse.app.windows.inspection.finding import Finding, ok, problem, warning
from customhouse.app.workspace import Workspace
from customhouse.destinations.webhook import WebhookConfig
from customhouse.model.errors import Misconfigured
from customhouse.settings import resolve

SECONDS = 3.0
"""How long one destination is waited for."""
_EXPIRES_DAYS = 14
_PORTS = {"http": 80, "https": 443}


def reachable(place: Workspace, configuration: Configuration) -> list[Finding]:
    """Knock at every address in parallel; return what came of it. Takes no longer than `SECONDS`, and a moment."""
    addresses = dict(_addresses(place, configuration))
    return asyncio.run(_all(addresses)) if addresses else []


def _addresses(place: Workspace, configuration: Configuration) -> Iterator[tuple[str, str]]:
    for name, config in configuration.destinations.items():
        if isinstance(config, WebhookConfig):
            yield f"reach {name}", config.url
    if webhook := configuration.alarms.webhook:
        try:
            yield "reach alarms", resolve(webhook.url, place.root, "").reveal()
        except Misconfigured:  # `check` says so, with its place
            return


async def _all(addresses: dict[str, str]) -> list[Finding]:
    return list(await asyncio.gather(*(knock(name, urlsplit(url)) for name, url in addresses.items())))


async def knock(name: str, url: SplitResult, context: ssl.SSLContext | None = None) -> Finding:
    """Connect, shake hands, hang up. `context` says which certificates are trusted; the system's by default."""
    host, port = url.hostname or "", url.port or _PORTS.get(url.scheme, 443)
    where = f"{url.scheme}://{host}:{port}"
    secure = (context or ssl.create_default_context()) if url.scheme == "https" else None
    began = time.perf_counter()
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=secure)
    except (TimeoutError, OSError) as error:
        return _failure(name, error, where, (host, port))
    took = (time.perf_counter() - began) * 1000
    left = _days_left(writer)
    writer.transport.abort()
    if left is not None and left < _EXPIRES_DAYS:
        told = f"{where} answers, but its certificate expires in {left:.0f} days"
        return warning(name, told, "have the destination renew its certificate")
    more = f"; its certificate lasts {left:,.0f} more days" if left is not None else ""
    return ok(name, f"{where} answers within {took:,.0f} ms{more}")


def _failure(name: str, error: Exception, where: str, address: tuple[str, int]) -> Finding:
    """Say why nobody answered, and the command that shows it from this machine."""
    host, port = address
    shake = f"openssl s_client -connect {host}:{port} -servername {host}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return problem(name, f"{where} shows a certificate that is not trusted: {error.verify_message}", shake)
    if isinstance(error, ssl.SSLError):
        return problem(name, f"{where} does not speak TLS with us: {error.reason or 'handshake failed'}", shake)
    if isinstance(error, socket.gaierror):
        return problem(name, f"the name {host} cannot be resolved: {error.strerror}", f"getent hosts {host}")
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return problem(name, f"{where} cannot be reached: {_words(error)}", f"nc -vz -w 5 {host} {port}")
    return problem(name, f"{where} does not answer within {SECONDS:g} s", f"nc -vz -w 5 {host} {port}")


def _words(error: OSError) -> str:
    """Return the system's words; where several addresses failed, those of the first."""
    return error.strerror or str(error).partition(":")[0] or type(error).__name__


def _days_left(writer: asyncio.StreamWriter) -> float | None:
    tls = writer.get_extra_info("ssl_object")
    expires = (tls.getpeercert() or {}).get("notAfter") if tls is not None else None
    return (ssl.cert_time_to_seconds(expires) - time.time()) / 86_400 if isinstance(expires, str) else None
