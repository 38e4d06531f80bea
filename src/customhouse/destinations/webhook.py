"""
Webhook: batches of events as JSON to any address, signed, each under an idempotency key.

`format: canonical` speaks Customhouse's own shape. `format: segment` speaks Segment's, so that Customhouse can stand in
front of anything that takes Segment's calls, and be compared with what is there before somebody cuts over.

The answer counts: 2xx is delivered, unless its JSON says otherwise. `{"errors": [{"index", "retry", "message"}]}` names
the events that failed. `{"success": false}` or `{"error": …}` names none: nothing then proves that any event arrived
or never will, so all are tried again, and the lane finds the culprit.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from customhouse.model.contracts import PackLimits, Parcel
from customhouse.model.errors import Problem
from customhouse.model.event import Event
from customhouse.model.http import Response
from customhouse.model.lane import LaneConfig
from customhouse.model.outcome import Delivered, Receipt, Rejected, Retry
from customhouse.model.secret import Secret
from customhouse.settings import SecretRef
from customhouse.wire.answers import DETAIL_CHARACTERS, detail, judge_status
from customhouse.wire.shapes import canonical, iso, segment

SEGMENT_EVENT_BYTES = 32_000
"""Segment takes no larger event; one that is larger travels alone, so that its refusal hits nobody else."""
SEGMENT_BATCH_BYTES = 500_000
SEGMENT_BATCH_EVENTS = 2500
_BATCH_PATH = "/v1/batch"
_SHORTEST_SECRET = 4
"""Characters; anything shorter is a word of the language as well."""
_FRAME_BYTES = 120
"""Room for what stands around the events of a body."""


class WebhookConfig(LaneConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="webhook"):
    """Sends events as JSON to an address of your own."""

    url: Annotated[
        str,
        Meta(description="Where to send: http or https, without credentials. For `segment`, `/v1/batch` is added."),
    ]
    format: Annotated[
        Literal["canonical", "segment"],
        Meta(description="`canonical`: Customhouse's own shape. `segment`: Segment's, for anything that takes it."),
    ] = "canonical"
    secret: Annotated[
        SecretRef | None,
        Meta(description="Signs each body (HMAC-SHA256) in `X-Customhouse-Signature`. As `env:NAME` or `file:PATH`."),
    ] = None
    write_key: Annotated[
        SecretRef | None,
        Meta(description="Sent as Basic user name with `format: segment`. As `env:NAME` or `file:PATH`."),
    ] = None
    headers: Annotated[
        dict[str, SecretRef],
        Meta(description="Headers to add to every request; values may be `env:NAME` or `file:PATH`."),
    ] = msgspec.field(default_factory=dict)
    batch_events: Annotated[int, Meta(ge=1, le=10_000, description="How many events one request carries at most.")] = (
        100
    )
    batch_bytes: Annotated[
        int, Meta(ge=1_000, le=16_000_000, description="How large a body may be; one larger event travels alone.")
    ] = 450_000


class _Error(Struct):
    """One event of the batch that the destination did not take."""

    index: int
    retry: bool = False
    message: str = ""


class _Answer(Struct):
    """What an answer's JSON may say against its status."""

    success: Any = None
    error: Any = None
    errors: Any = None


_answer = msgspec.json.Decoder(_Answer)


def problems(config: WebhookConfig, place: str) -> list[Problem]:
    """Return everything in a configuration that cannot work, found without touching the network."""
    found = []
    try:
        url = urlsplit(config.url)
        ok = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return [Problem(f"{place}.url", "is not an address", "such as https://hooks.example.com/events")]
    if not ok:
        found.append(Problem(f"{place}.url", "is not an http or https address", "https://hooks.example.com/events"))
    if url.username or url.password:
        found.append(Problem(f"{place}.url", "holds credentials", "put them into `headers`, as `env:NAME`"))
    if config.format == "segment" and not config.write_key:
        found.append(Problem(f"{place}.write_key", "is missing, and `format: segment` needs it"))
    bad = [name for name in config.headers if not name or not name.replace("-", "").replace("_", "").isalnum()]
    found += [Problem(f"{place}.headers.{name}", "is not a header's name") for name in bad]
    broken = [name for name, value in config.headers.items() if any(each in value[:] for each in "\r\n\0")]
    found += [Problem(f"{place}.headers.{name}", "holds a line break") for name in broken]
    return found


class Webhook:
    """Packs requests for one address and weighs its answers. Pure."""

    def __init__(
        self,
        name: str,
        config: WebhookConfig,
        *,
        secret: Secret | None = None,
        write_key: Secret | None = None,
        headers: Mapping[str, Secret] | None = None,
    ) -> None:
        """Take the configuration, and what its references `secret`, `write_key` and `headers` resolve to."""
        self._name = name
        self._is_segment = config.format == "segment"
        self._url = _segment_url(config.url) if self._is_segment else config.url
        self._secret = secret
        self._headers = dict(headers or {})
        if self._is_segment and write_key:
            basic = b64encode(f"{write_key.reveal()}:".encode()).decode()
            self._headers["authorization"] = Secret(f"Basic {basic}")
        self._secrets = _texts([secret, write_key, *self._headers.values()])
        most = SEGMENT_BATCH_EVENTS if self._is_segment else config.batch_events
        room = SEGMENT_BATCH_BYTES if self._is_segment else config.batch_bytes
        self.limits = PackLimits(min(config.batch_events, most), min(config.batch_bytes, room))

    def __repr__(self) -> str:
        """Name the destination only."""
        return f"Webhook({self._name})"

    def pack(self, events: Sequence[Event], now: int) -> Iterator[Parcel]:
        """Put events into requests, in order. The idempotency key follows from the events alone, not from `now`."""
        shape = segment if self._is_segment else canonical
        alone = SEGMENT_EVENT_BYTES if self._is_segment else self.limits.bytes
        carried: list[Event] = []
        texts: list[bytes] = []
        size = _FRAME_BYTES
        for event in events:
            text = shape(event)
            full = len(carried) >= self.limits.events or size + len(text) + 1 > self.limits.bytes
            if carried and (full or len(text) > alone):
                yield self._parcel(carried, texts, now)
                carried, texts, size = [], [], _FRAME_BYTES
            carried.append(event)
            texts.append(text)
            size += len(text) + 1
            if len(text) > alone:
                yield self._parcel(carried, texts, now)
                carried, texts, size = [], [], _FRAME_BYTES
        if carried:
            yield self._parcel(carried, texts, now)

    def weigh(self, parcel: Parcel, response: Response) -> list[Receipt]:
        """Say what the answer means for each event. The destination's words come back without our secrets."""
        response = self._clean(response)
        overall = judge_status(response)
        count = len(parcel.events)
        if not isinstance(overall, Delivered) or response.body.lstrip()[:1] != b"{":
            return [overall] * count
        try:
            answer = _answer.decode(response.body)
        except msgspec.DecodeError:
            return [overall] * count
        named = _named(answer.errors, count)
        if named:
            failed = {each.index: _receipt(each) for each in named}
            return [failed.get(nth, overall) for nth in range(count)]
        if answer.success is False or answer.error or answer.errors:
            return [Retry("server_error", detail=f"an error inside: {detail(response)}")] * count
        return [overall] * count

    def _parcel(self, events: list[Event], texts: list[bytes], now: int) -> Parcel:
        key = _idempotency_key(self._name, events)
        joined = b",".join(texts)
        if self._is_segment:
            body = b'{"batch":[%b],"sentAt":"%b"}' % (joined, (iso(now) or "").encode())
        else:
            body = b'{"batch_id":"%b","events":[%b]}' % (key.encode(), joined)
        headers = [("content-type", "application/json"), ("idempotency-key", key)]
        if self._secret:
            headers.append(("x-customhouse-signature", sign(self._secret, body, now // 1_000_000)))
        headers += [(name.lower(), value.reveal()) for name, value in self._headers.items()]
        return Parcel(tuple(events), "POST", self._url, tuple(headers), body)

    def _clean(self, response: Response) -> Response:
        """Cut our own secrets out of an answer that repeats them, before anybody keeps a part of it."""
        body = response.body
        for secret in self._secrets:
            body = body.replace(secret, "…".encode())
        return response if body == response.body else msgspec.structs.replace(response, body=body)


def sign(secret: Secret, body: bytes, seconds: int) -> str:
    """Return `t=<seconds>,v1=<hex>`: HMAC-SHA256 of the seconds, a full stop and the body."""
    digest = hmac.new(secret.reveal().encode(), b"%d.%b" % (seconds, body), hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def _texts(secrets: Iterable[Secret | None]) -> list[bytes]:
    """Return what must not stand in any answer we keep: each secret, and what follows a scheme such as `Basic`."""
    whole = [secret.reveal() for secret in secrets if secret]
    parts = {part for text in whole for part in (text, text.partition(" ")[2])}
    return sorted((part.encode() for part in parts if len(part) >= _SHORTEST_SECRET), key=len, reverse=True)


def _idempotency_key(name: str, events: Sequence[Event]) -> str:
    """Return what names exactly these events, sent to this destination."""
    return hashlib.sha256(b"\0".join([name.encode(), *(event.id for event in events)])).hexdigest()[:32]


def _segment_url(url: str) -> str:
    return url if url.rstrip("/").endswith(_BATCH_PATH) else url.rstrip("/") + _BATCH_PATH


def _named(errors: Any, count: int) -> list[_Error]:
    """Return the errors that name an event each; nothing unless all of them do."""
    try:
        found = msgspec.convert(errors, list[_Error])
    except msgspec.ValidationError:
        return []
    return found if all(0 <= each.index < count for each in found) else []


def _receipt(error: _Error) -> Receipt:
    words = error.message[:DETAIL_CHARACTERS]
    return Retry("server_error", detail=words) if error.retry else Rejected("destination_refused", words)
