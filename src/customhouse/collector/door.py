"""
The door: who is asking, in whose words, is it acceptable, and then into the log before anybody says yes.

It knows no protocol by name. What a request means, its protocol says; the door finds the source, unpacks the body,
notes the facts of receipt, and makes sure that what is not taken is counted with its reason.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import xxhash
from msgspec import Struct
from msgspec.structs import replace

from customhouse.collector import cors
from customhouse.collector.commit import UNKNOWN_SOURCE, Commit, Places
from customhouse.collector.config import LimitsConfig, SourceConfig
from customhouse.collector.facts import Facts
from customhouse.collector.front import address, cookie
from customhouse.collector.front.cookie import Cookie
from customhouse.collector.front.shelf import Shelf
from customhouse.collector.http.answers import problem
from customhouse.collector.http.host import Answer
from customhouse.collector.mint import Mint
from customhouse.collector.probes import Age, Probes
from customhouse.collector.routes import Entry, Recogniser, Routes
from customhouse.collector.sources import Register, Source
from customhouse.model.contracts import Opened, Refusal, WireProtocol
from customhouse.model.envelope import Envelope, Letter, RequestFacts, event_id
from customhouse.model.http import Reply, Request
from customhouse.telemetry.measure import Histogram
from customhouse.wire.compression import inflate
from customhouse.wire.ids import hex_id

_NOT_FOUND = problem(404, "not_found", "Nothing is served at this path.")
_RETRY_AFTER = {"too_busy": 1, "log_unavailable": 5, "draining": 2, "disk_low": 30}
"""Seconds to wait for what passes by itself."""
_DETAILS = {
    "missing_write_key": "no write key in header, query or body",
    "unknown_write_key": "no source has this write key",
    "source_disabled": "the source is switched off",
    "body_too_large": "the body is over the limit",
    "body_not_json": "the body cannot be kept as it is",
    "too_busy": "more is waiting for the disk than may be held",
    "log_unavailable": "the events could not be made durable",
    "draining": "the server is closing",
    "disk_low": "the disk is nearly full",
}
_OVERHEAD = 1024
"""Bytes of memory a request takes besides its body, about."""


def _nobody_knows() -> float | None:
    return None


class About(Struct, frozen=True):
    """What the door says of the house it belongs to."""

    version: str = ""
    oldest_undelivered: Age = _nobody_knows


class Front(Struct, frozen=True):
    """What the door shows browsers besides ingest. Never changes; swapped whole."""

    prefixes: tuple[str, ...] = ()
    cookie: Cookie | None = None
    shelf: Shelf = Shelf()


class Door:
    """Answers every request of one listening address. Belongs to one event loop; `reload` is called on it, too."""

    def __init__(
        self,
        protocols: Sequence[WireProtocol],
        commit: Commit,
        register: Register,
        *,
        recognisers: Mapping[str, Recogniser] | None = None,
        about: About = About(),  # noqa: B008 (frozen)
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """
        Serve protocols in order of preference; `clock` tells nanoseconds since 1970.

        `recognisers` say of a body whether it comes from a protocol's SDKs, for paths that several protocols serve.
        """
        self._routes = Routes(protocols, recognisers or {})
        self._commit = commit
        self._probes = Probes(commit, about.version, about.oldest_undelivered)
        self._clock = clock
        self._mint = Mint()
        self._facts = Facts()
        self.answered: dict[tuple[str, int], int] = {}
        """Requests answered so far on ingest routes, by protocol and status."""
        self.waited: dict[str, Histogram] = {}
        """How long acknowledged requests took from their last byte to the answer, by source."""
        self._front = Front()
        self._cookie: Cookie | None = None
        self._swap(register)

    def show(self, front: Front) -> None:
        """Serve later requests under these prefixes, with this cookie and these files."""
        self._routes.serve_under(front.prefixes)
        self._front, self._cookie = front, front.cookie

    def reload(self, sources: Mapping[str, SourceConfig], limits: LimitsConfig, config: int) -> None:
        """Judge all later requests by this configuration, and write its number into all later frames."""
        self._swap(Register(sources, limits, config))

    def _swap(self, register: Register) -> None:
        self._register = register
        self.body_bytes = register.limits.body_bytes
        """The largest body taken, still compressed."""
        self._commit.config = register.config

    # Finding the way.

    def handle(self, request: Request) -> Answer:
        """Answer a whole request, at once or when its events are durable."""
        methods = self._routes.methods(request.path)
        entries = methods.get(request.method) if methods is not None else None
        if entries is None:
            return self._aside(request)
        entry, key = self._key(entries, request)
        source = self._register.find(key) if key else None
        if source is None and key:
            return self._refused(request, entry, None, "unknown_write_key")
        if source is not None and not source.enabled:
            return self._refused(request, self._pinned(entries, source) or entry, source, "source_disabled")
        if entry.route.ingest:
            return self._ingest(request, entries, source)
        if source is None:
            return self._refused(request, entry, None, "missing_write_key")
        request.base = address.base(request, self._routes.prefix(request.path))
        reply = entry.protocol.answer(request, entry.route, key)
        return _with(reply, cors.headers_for(request) or cors.VARY)

    def refuse(self, request: Request, reason: str) -> Reply:
        """Refuse, in the words of its protocol, a request whose body is not read; count it for its source."""
        methods = self._routes.methods(request.path)
        entries = methods.get(request.method) if methods is not None else None
        if not entries:
            status = 413 if reason == "body_too_large" else 503
            return _with(problem(status, reason, _DETAILS[reason]), cors.headers_for(request))
        entry, key = self._key(entries, request)
        source = self._register.find(key) if key else None
        if source is not None:
            entry = self._pinned(entries, source) or entry
        return self._refused(request, entry, source, reason)

    def _aside(self, request: Request) -> Reply:
        """Answer what no protocol serves: preflights, probes, wrong methods, unknown paths."""
        method, path = request.method, request.path
        if method == "OPTIONS":
            return cors.preflight(request)
        file = self._front.shelf.find(path[len(self._routes.prefix(path)) :], request)
        if file is not None and method in {"GET", "HEAD"}:
            return file
        probe = self._probes.find(path)
        methods = self._routes.methods(path)
        if method == "HEAD" and methods is not None and "GET" in methods:
            answer = self.handle(Request("GET", path, request.query, request.headers, request.body, request.peer))
            return answer if isinstance(answer, Reply) else _NOT_FOUND
        if probe is not None and method in {"GET", "HEAD"}:
            reply = probe()
        elif probe is None and methods is None and file is None:
            reply = _NOT_FOUND
        else:
            known = set(methods or ("GET",))
            allowed = sorted(known | {"OPTIONS"} | ({"HEAD"} if "GET" in known else set()))
            headers = (("Allow", ", ".join(allowed)),)
            reply = problem(405, "method_not_allowed", "This path is served with other methods.", headers)
        return _with(reply, cors.headers_for(request))

    # Finding out who it is.

    def _key(self, entries: tuple[Entry, ...], request: Request) -> tuple[Entry, str]:
        for entry in entries:
            key = entry.protocol.key(request, entry.route)
            if key:
                return entry, key
        return entries[0], ""

    def _pinned(self, entries: tuple[Entry, ...], source: Source | None) -> Entry | None:
        """Return the reading a source's own family has of a route, if it has one."""
        if source is None or not source.family:
            return None
        return next((entry for entry in entries if entry.protocol.name == source.family), None)

    def _entry(self, entries: tuple[Entry, ...], source: Source | None, body: bytes) -> Entry:
        """Choose who reads a body: the source's family, the only one there is, the one that knows it, the first."""
        if len(entries) == 1:
            return entries[0]
        if source is not None and source.family and (pinned := self._pinned(entries, source)) is not None:
            return pinned
        for entry in entries:
            if entry.recognises is not None and entry.recognises(body):
                return entry
        return entries[0]

    # Taking it in.

    def _ingest(self, request: Request, entries: tuple[Entry, ...], source: Source | None) -> Answer:
        limits = self._register.limits
        body = inflate(request.body, request.headers.get("content-encoding", ""), limits)
        if isinstance(body, Refusal):
            return self._say_no(request, self._pinned(entries, source) or entries[0], source, body)
        request.body = body
        entry = self._entry(entries, source, body)
        opened = entry.protocol.open(request, entry.route, limits)
        if isinstance(opened, Refusal):
            return self._say_no(request, entry, source, opened)
        if source is not None:
            return self._submit(request, entry, source, opened)
        return self._introduced(request, entries, entry, opened)

    def _introduced(self, request: Request, entries: tuple[Entry, ...], entry: Entry, opened: Opened) -> Answer:
        """Take in a request that only its body says whose it is, so that it was opened before anybody knew."""
        source = self._register.find(opened.write_key)
        if source is None:
            return self._refused(request, entry, None, "unknown_write_key" if opened.write_key else "missing_write_key")
        pinned = self._pinned(entries, source) or entry
        if not source.enabled:
            return self._refused(request, pinned, source, "source_disabled")
        if pinned is not entry:
            again = pinned.protocol.open(request, pinned.route, self._register.limits)
            if isinstance(again, Refusal):
                return self._say_no(request, pinned, source, again)
            opened = again
        return self._submit(request, pinned, source, opened)

    def _submit(self, request: Request, entry: Entry, source: Source, opened: Opened) -> Answer:
        now = self._clock()
        id_ = self._mint.id(now)
        facts = self._facts.of(request)
        headers = cors.headers_for(request)
        if self._cookie is not None and cookie.from_browser(request):
            noted, set_cookie = self._greet(self._cookie, request, entry, opened)
            headers += set_cookie
            if noted:
                facts, opened = _noted(noted, facts, opened)
        head = (id_, source.name, entry.protocol.name, entry.route.word, now // 1000, opened.sent_at, opened.shared)
        partitions = self._commit.terms.partitions
        if partitions == 1:
            parts = [(0, Envelope(*head, facts, opened.letters))]
        else:
            split = _split(id_, opened.letters, partitions)
            parts = [(partition, Envelope(*head, facts, letters)) for partition, letters in split.items()]

        waited = self.waited.get(source.name) or self.waited.setdefault(source.name, Histogram())

        def answer(outcome: Places | str) -> Reply:
            if isinstance(outcome, str):
                return self._refused(request, entry, source, outcome)
            accepted = entry.accepted
            self._count(entry, accepted.status)
            waited.observe((self._clock() - now) / 1e9)
            receipt = (cors.RECEIPT_HEADER, _receipt(id_, outcome))
            return Reply(accepted.status, accepted.body, accepted.content_type, (*accepted.headers, receipt, *headers))

        taken = self._commit.submit(parts, len(request.body) + _OVERHEAD, answer)
        return self._refused(request, entry, source, taken) if isinstance(taken, str) else taken

    @staticmethod
    def _greet(jar: Cookie, request: Request, entry: Entry, opened: Opened) -> tuple[str, cors.Headers]:
        """Return the id a browser's cookie holds, and the header that keeps it for another while, or removes it."""
        if cookie.opted_out(request):
            return "", jar.wiped(request)
        known = jar.known(request)
        id_ = known or entry.protocol.visitor(opened)
        return known, jar.kept(request, id_) if id_ else ()

    # Saying no.

    def _refused(self, request: Request, entry: Entry, source: Source | None, reason: str) -> Reply:
        refusal = Refusal(reason, _DETAILS.get(reason, ""), _RETRY_AFTER.get(reason, 0))
        return self._say_no(request, entry, source, refusal)

    def _say_no(self, request: Request, entry: Entry, source: Source | None, refusal: Refusal) -> Reply:
        if entry.route.ingest:
            self._commit.refuse(source.name if source is not None else UNKNOWN_SOURCE, refusal.reason)
        reply = entry.protocol.refused(refusal, entry.route)
        self._count(entry, reply.status)
        return _with(reply, cors.headers_for(request))

    def _count(self, entry: Entry, status: int) -> None:
        key = (entry.protocol.name, status)
        self.answered[key] = self.answered.get(key, 0) + 1


def _with(reply: Reply, headers: cors.Headers) -> Reply:
    """Return a reply with more headers."""
    return Reply(reply.status, reply.body, reply.content_type, reply.headers + headers) if headers else reply


def _noted(anonymous_id: str, facts: RequestFacts, opened: Opened) -> tuple[RequestFacts, Opened]:
    """Note the cookie's id beside the client's words; it also orders the events that name nobody."""
    letters = [letter if letter.order_key else replace(letter, order_key=anonymous_id) for letter in opened.letters]
    return replace(facts, anonymous_id=anonymous_id), replace(opened, letters=letters)


def _split(id_: bytes, letters: Sequence[Letter], partitions: int) -> dict[int, list[Letter]]:
    """Return the letters of each partition, in order; those without an order key go by their own id."""
    split: dict[int, list[Letter]] = {}
    for letter in letters:
        key = letter.order_key.encode("utf-8", "surrogatepass") if letter.order_key else event_id(id_, letter.nth)
        split.setdefault(xxhash.xxh3_64_intdigest(key) % partitions, []).append(letter)
    return split


def _receipt(id_: bytes, places: Places) -> str:
    """Return where the events of an envelope stand: `<partition>:<first position>+<count>[,…]; id=<envelope id>`."""
    text = ""
    for partition, first, count in places:
        text += f"{',' if text else ''}{partition}:{first}+{count}"
    return f"{text}; id={hex_id(id_)}"
