"""
A shop's site on an origin of its own: pages that load the official browser SDKs, unchanged, as their packages ship them.

The SDKs are given in the words of their documentation (`LOAD`), so that tests say only what differs.
"""

import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from customhouse.log.embedded import EmbeddedLog
from customhouse.model.frames import RECEIVED_TOPIC, decode_door

ROOT = Path(__file__).parents[3]
NODE_MODULES = Path(os.environ.get("CUSTOMHOUSE_SDKS", ROOT / ".sdks")) / "node" / "node_modules"
FILES = {
    "segment": NODE_MODULES / "@segment/analytics-next/dist/umd/index.js",
    "rudderstack": NODE_MODULES / "@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js",
}
LIBRARIES = {"segment": ("analytics.js", "next-1.84.3"), "rudderstack": ("RudderLabs JavaScript SDK", "3.34.1")}
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The shop</title>
<link rel="icon" href="data:,">{scripts}</head><body><h1>The shop</h1></body></html>"""
LOAD = {
    "segment": """([key, door, options]) => {
        window.analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey: key, cdnURL: door }, options)
        return window.analytics.then(() => true)
    }""",
    "rudderstack": """([key, door, options]) => new Promise(done => {
        window.analytics = new rudderanalytics.RudderAnalytics()
        window.analytics.load(key, door, { configUrl: door, ...options })
        window.analytics.ready(() => done(true))
    })""",
}

UNLOADS = {
    "segment": (
        {"integrations": {"Segment.io": {"deliveryStrategy": {"strategy": "batching", "config": {"timeout": 60_000}}}}},
        "/v1/b",
    ),
    "rudderstack": (
        {"useBeacon": True, "beaconQueueOptions": {"flushQueueInterval": 600_000}},
        "/beacon/v1/batch",
    ),
}
"""Options with which nothing is sent before the page is left, and where it then goes."""


def needs(family):
    """Skip loudly when an SDK is not installed; fail where nothing may be missing."""
    if not FILES[family].is_file():
        words = f"the browser SDK of {family} is missing: .ci/sdks"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.partition("?")[0].strip("/")
        if name.endswith(".js"):
            body, kind = FILES[name.removesuffix(".js")].read_bytes(), "text/javascript; charset=utf-8"
        else:
            scripts = f'<script src="/{name}.js"></script>' if name in FILES else ""
            body, kind = PAGE.format(scripts=scripts).encode(), "text/html; charset=utf-8"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving():
    """Serve the site and yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def load(page, family, site, key, door, **options):
    """Open the family's page and load its SDK through the door's settings answer."""
    page.goto(f"{site}/{family}?utm_source=news&utm_medium=email")
    assert page.evaluate(LOAD[family], [key, door, options])


def requests_of(page, part):
    """Return a list that grows with the requests whose address holds `part`, preflights aside."""
    found = []
    page.on("request", lambda request: part in request.url and found.append(request))
    return found


def received(house):
    """Return the envelopes of all requests that were taken, as the log has them."""
    log = EmbeddedLog(house.data / "log")
    try:
        frames = log.read(RECEIVED_TOPIC, 0, after=-1, limit=1 << 24)
        return [envelope for frame in frames for envelope in decode_door(frame.body).envelopes]
    finally:
        log.close()


def taken(page, house, source, count):
    """Wait until the door has taken so many events of a source; return how many it has taken of all."""

    def enough():
        page.evaluate("0")  # hear what the browser has to tell meanwhile
        sizes = [(envelope.source, len(envelope.letters)) for envelope in received(house)]
        return sum(size for name, size in sizes if name == source) >= count and sum(size for _, size in sizes)

    return house.wait_until(enough, 45, f"{count} events of {source}")


def rows_of(page, house, source, count):
    """Return the events of a source in the order of receipt, once there are so many and nothing is in flight."""
    house.settled(acknowledged=taken(page, house, source, count))
    rows = house.sql(f"select * from events where source = '{source}' order by position")
    assert len(rows) == len({row["message_id"] for row in rows}) == count
    for row in rows:
        for name in ("properties", "traits", "context"):
            row[name] = json.loads(row[name])
    return rows
