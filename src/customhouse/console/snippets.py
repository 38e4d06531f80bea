"""The lines that send a first event, with this house's own address and write key, ready to be copied."""

import json
import shlex
from typing import Protocol

from msgspec import Struct

YOUR_KEY = "YOUR_WRITE_KEY"
_EVERYWHERE = ("", "0.0.0.0", "::", "[::]")  # noqa: S104  # what a door that listens everywhere is configured with
_EVENT = '{"event":"Hello World","anonymousId":"me","properties":{"from":"curl"}}'


class Door(Protocol):
    """Where events go, and the key they carry."""

    @property
    def host(self) -> str:
        """The address the door listens on."""

    @property
    def port(self) -> int:
        """Its port."""

    @property
    def key(self) -> str:
        """The write key; empty when it is not to be shown."""


class Snippet(Struct, frozen=True):
    """Something to copy. `family` is empty for the line that needs no SDK."""

    family: str
    title: str
    code: str


def snippets(door: Door, asked: str) -> list[Snippet]:
    """Return what to copy. A door that listens everywhere goes by the host name the console was `asked` under."""
    host = asked if door.host in _EVERYWHERE and asked else door.host
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    url = f"http://{host}:{door.port}"
    key = door.key or YOUR_KEY
    js, user = json.dumps, shlex.quote(f"{key}:")
    curl = f"curl -u {user} {url}/v1/track -H 'Content-Type: application/json' -d '{_EVENT}'"
    browser = f"AnalyticsBrowser.load({{ writeKey: {js(key)}, cdnURL: {js(url)} }})"
    return [
        Snippet("", "With curl", curl),
        Snippet("Segment", "Python", f"analytics = Client({js(key)}, host={js(url)})"),
        Snippet("Segment", "Node", f"const analytics = new Analytics({{ writeKey: {js(key)}, host: {js(url)} }})"),
        Snippet("Segment", "Browser", browser),
        Snippet("RudderStack", "Python", f"analytics = Client({js(key)}, host={js(url)})"),
        Snippet("RudderStack", "Node", f"const analytics = new RudderAnalytics({js(key)}, {{ dataPlaneUrl: {js(url)} }})"),
        Snippet("RudderStack", "Browser", f"rudderanalytics.load({js(key)}, {js(url)}, {{ configUrl: {js(url)} }})"),
    ]  # fmt: skip
