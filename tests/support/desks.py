"""A console for tests: the real frame with pages as handed in, asked without a socket, with cookies kept like a browser's."""

import asyncio
import json
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from customhouse.console.access import Access
from customhouse.console.application import Health, Probes, application
from customhouse.console.desk import Desk
from customhouse.console.render import Templates
from customhouse.model.secret import Secret


class Got(Struct):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks a console the way a browser on this machine would."""

    def __init__(self, *makers, password="", token="", health=True, names=()):
        """Serve the pages that `makers` make of a desk."""
        access = Access(b"k" * 32, Secret(password) if password else None, Secret(token) if token else None)
        self.desk = Desk(Templates(), access)
        probes = Probes(lambda: b"customhouse_unaccounted_events 0\n", lambda: Health(health, {"books": "balanced"}))
        self.app = application(self.desk, [make(self.desk) for make in makers], probes, access, names)
        self.cookies: dict[str, str] = {}

    def get(self, path, **headers):
        """Ask for a page; headers by name, underscores for hyphens."""
        return self._ask("GET", path, headers, b"")

    def post(self, path, form=None, *, proof=True, **headers):
        """Send a form, with the proof a page of ours would carry unless told otherwise."""
        fields = dict(form or {})
        if proof:
            fields["_proof"] = self.proof()
        return self._ask("POST", path, {"origin": "http://127.0.0.1:8081", **headers}, urlencode(fields).encode())

    def proof(self):
        """Return the proof our pages carry."""
        text = self.get("/no-such-page").text
        return text.split('X-Customhouse-Proof":"')[1].split('"')[0]

    def _ask(self, method, path, headers, body):
        path, _, query = path.partition("?")
        said = {"host": "127.0.0.1:8081", "accept": "text/html"}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            said["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "server": ("127.0.0.1", 8081), "client": ("127.0.0.1", 40000),
            "headers": [(name.encode(), value.encode()) for name, value in said.items() if value is not None],
        }  # fmt: skip
        got = asyncio.run(_call(self.app, scope, body))
        for name, value in got.pop("cookies"):
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return Got(**got)


async def _call(app, scope, body):
    sent, waiting = [], [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    try:
        await app(scope, receive, send)
    except Exception:  # a server answers 500 and writes the error down; the answer is what counts here
        if not sent:
            raise
    pairs = [(name.decode().lower(), value.decode()) for name, value in sent[0]["headers"]]
    cookies = []
    for name, value in pairs:
        if name == "set-cookie":
            cookies += [(key, morsel.value) for key, morsel in SimpleCookie(value).items()]
    whole = b"".join(message.get("body", b"") for message in sent[1:])
    return {"status": sent[0]["status"], "headers": dict(pairs), "body": whole, "cookies": cookies}
