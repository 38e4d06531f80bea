"""
RudderStack's event API, as its SDKs speak it.

Facts: what the official SDKs were seen to send, and how RudderStack's server answers. Its server fails a whole batch
for one bad event; this one does not. Refusals are JSON, because the SDKs read it and people do.
"""

from collections.abc import Sequence

import msgspec

from customhouse.model.contracts import Limits, Opened, Refusal, Route
from customhouse.model.envelope import Envelope, Letter
from customhouse.model.event import TYPES, Event
from customhouse.model.http import Reply, Request
from customhouse.model.outcome import Quarantine
from customhouse.wire.ids import as_id
from customhouse.wire.spec_batch import open_batch, open_single, visitor
from customhouse.wire.spec_event import SPEC_TYPES, Dialect, read_spec
from customhouse.wire.spec_reply import basic_user, decoded, query_value, refusal_reply

_DIALECT = Dialect(types={**SPEC_TYPES, "merge": "alias"}, context_traits=True)
_ACCEPTED = Reply(200, b"OK", "text/plain; charset=utf-8")
_BEACON = "/beacon/v1/batch"


class RudderStack:
    """RudderStack's family of SDKs."""

    name = "rudderstack"
    routes = (
        *(Route("POST", f"/v1/{kind}", kind) for kind in TYPES),
        Route("POST", "/v1/merge", "alias"),
        Route("POST", "/v1/batch", "batch"),
        Route("POST", _BEACON, "batch"),
        Route("POST", "/v1/import", "import"),
        Route("GET", "/sourceConfig", "source_config", ingest=False),
    )

    def key(self, request: Request, route: Route) -> str:
        """Return the write key: of the query for beacons, which cannot set headers, else of the Basic credentials."""
        if route.path == _BEACON:
            return query_value(request.query, "writeKey")
        user = basic_user(request.headers.get("authorization", ""))
        return user or (query_value(request.query, "writeKey") if route.word == "source_config" else "")

    def open(self, request: Request, route: Route, limits: Limits) -> Opened | Refusal:
        """Split the body into letters. The browser SDK says the anonymous id and the time of sending in headers too."""
        sent_at = (as_id(request.headers.get("sentat")) or "")[:64]
        if route.word in {"batch", "import"}:
            opened = open_batch(request.body, limits, sent_at=sent_at)
        else:
            anonymous_id = as_id(decoded(request.headers.get("anonymousid", ""))) or ""
            opened = open_single(request.body, limits, sent_at=sent_at, anonymous_id=anonymous_id)
        return opened

    def read(self, envelope: Envelope, letters: Sequence[Letter], positions: Sequence[int]) -> list[Event | Quarantine]:
        """Read letters into canonical events."""
        return read_spec(envelope, letters, positions, _DIALECT)

    def visitor(self, opened: Opened) -> str:
        """Return the anonymous id the client goes by."""
        return visitor(opened)

    def answer(self, _request: Request, _route: Route, write_key: str) -> Reply:
        """Answer the browser SDK's question for its configuration: send events, and no device-mode destinations."""
        source = {
            "id": "customhouse",
            "name": "customhouse",
            "writeKey": write_key,
            "enabled": True,
            "workspaceId": "customhouse",
            "updatedAt": "2026-01-01T00:00:00Z",
            "config": {},
            "destinations": [],
        }
        return Reply(200, msgspec.json.encode({"source": source}))

    def accepted(self, _route: Route) -> Reply:
        """Say yes."""
        return _ACCEPTED

    def refused(self, refusal: Refusal, _route: Route) -> Reply:
        """Say no."""
        return refusal_reply(refusal, disabled=404)
