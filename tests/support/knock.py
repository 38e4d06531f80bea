"""Knocking at a door as a plain HTTP client does: one request, one answer, nothing hidden by a library's kindness."""

import base64
import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from house import KEY

_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """What came back. Header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def receipt(self) -> str:
        """The receipt as `customhouse trace` takes it; empty when there is none."""
        return self.headers.get("x-customhouse-receipt", "").partition(";")[0]


def basic(key: str) -> str:
    """Return an Authorization header's value for a write key."""
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


def request(
    url: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """Send one request on a connection of its own, with exactly these headers, and read the answer."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_SECONDS)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def send(url: str, event: Any, path: str = "/v1/track", key: str = KEY, **headers: str) -> Answer:
    """Post one document as an SDK would."""
    usual = {"content-type": "application/json", "authorization": basic(key)}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(url, "POST", path, json.dumps(event).encode(), usual | more)


def raw(url: str, *pieces: bytes, seconds: float = _SECONDS) -> bytes:
    """Write bytes to the door's socket as they are and return all it says until it closes or falls silent."""
    place = urlsplit(url)
    heard = b""
    with socket.create_connection((place.hostname, place.port), timeout=seconds) as line:
        try:
            for piece in pieces:
                line.sendall(piece)
            while chunk := line.recv(65536):
                heard += chunk
        except (TimeoutError, ConnectionError):
            pass
    return heard
