"""
Segment's HTTP Tracking API, as its SDKs speak it.

Facts: what the official SDKs were seen to send, and Segment's public documentation. Everything that is wrong with one
event is answered with 200 and kept in quarantine, because a 4xx makes the SDKs throw a whole batch away.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote

import msgspec

from customhouse.model.contracts import Limits, Opened, Refusal, Route
from customhouse.model.envelope import Envelope, Letter
from customhouse.model.event import TYPES, Event
from customhouse.model.http import Reply, Request
from customhouse.model.outcome import Quarantine
from customhouse.wire.spec_batch import open_batch, open_single, visitor
from customhouse.wire.spec_event import SPEC_TYPES, Dialect, read_spec
from customhouse.wire.spec_reply import basic_user, refusal_reply

_DIALECT = Dialect(types=SPEC_TYPES)
_ACCEPTED = Reply(200, b'{"success":true}')
_SETTINGS_KEY = re.compile(r"/v1/projects/([^/]{1,512})/settings/?\Z")


class Segment:
    """Segment's family of SDKs."""

    name = "segment"
    routes = (
        *(Route("POST", f"/v1/{kind}", kind) for kind in TYPES),
        # analytics-next names its routes by one letter.
        *(Route("POST", f"/v1/{kind[0]}", kind) for kind in TYPES),
        Route("POST", "/v1/batch", "batch"),
        Route("POST", "/v1/b", "batch"),
        Route("POST", "/v1/import", "import"),
        Route("POST", "/v1/m", "metrics", ingest=False),
        Route("GET", "/v1/projects/{}/settings", "settings", ingest=False),
    )

    def key(self, request: Request, route: Route) -> str:
        """Return the write key of the Basic credentials; of the path, where settings are asked for."""
        if route.word == "settings":
            found = _SETTINGS_KEY.search(request.path)  # a prefix may stand before it
            return unquote(found[1]).strip() if found else ""
        return basic_user(request.headers.get("authorization", ""))

    def open(self, request: Request, route: Route, limits: Limits) -> Opened | Refusal:
        """Split the body into letters."""
        if route.word in {"batch", "import"}:
            return open_batch(request.body, limits)
        return open_single(request.body, limits)

    def read(self, envelope: Envelope, letters: Sequence[Letter], positions: Sequence[int]) -> list[Event | Quarantine]:
        """Read letters into canonical events."""
        return read_spec(envelope, letters, positions, _DIALECT)

    def visitor(self, opened: Opened) -> str:
        """Return the anonymous id the client goes by."""
        return visitor(opened)

    def answer(self, request: Request, route: Route, write_key: str) -> Reply:
        """Answer the browser SDK's settings request, and throw away the metrics it sends about itself."""
        if route.word != "settings":
            return _ACCEPTED
        # With no host of ours the SDK would turn to Segment's own; a host that leads nowhere keeps the data here.
        scheme, _, where = (request.base or "http://localhost").partition("://")
        integration = {"apiKey": write_key, "apiHost": f"{where}/v1", "protocol": scheme}
        # Not told otherwise, the SDK sends measurements of itself to Segment's own host.
        metrics = {"host": integration["apiHost"], "sampleRate": 0}
        return Reply(200, msgspec.json.encode({"integrations": {"Segment.io": integration}, "metrics": metrics}))

    def accepted(self, _route: Route) -> Reply:
        """Say yes."""
        return _ACCEPTED

    def refused(self, refusal: Refusal, _route: Route) -> Reply:
        """Say no; to the SDKs a disabled source is one whose key is not valid."""
        return refusal_reply(refusal, disabled=401)
