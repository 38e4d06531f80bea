"""
A request while it arrives: what the parser says of it, piece by piece, and the bounds it must keep.

llhttp does the framing, strictly: one length, one way to say it. It has no bounds of its own, so they are here, and the
head is judged before the body costs anything.
"""

import httptools

from customhouse.collector.http import answers
from customhouse.collector.http.host import Commons
from customhouse.model.http import Reply, Request

_SPACE = " \t"
_JOINED = {"cookie": "; ", "x-forwarded-for": ", ", "forwarded": ", "}
_METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
_COMMON = (
    "Accept Accept-Encoding Accept-Language Authorization Cache-Control Connection Content-Encoding Content-Length "
    "Content-Type Cookie Expect Forwarded Host Origin Pragma Referer Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform "
    "Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-GPC Traceparent Transfer-Encoding User-Agent X-Forwarded-For "
    "X-Forwarded-Host X-Forwarded-Proto X-Real-IP X-Retry-Count AnonymousId SentAt"
)
_NAMES = {spelling.encode(): name.lower() for name in _COMMON.split() for spelling in (name, name.lower())}


class Stop(Exception):
    """Raised inside a callback of the parser to stop it: the request ends with this reply."""

    def __init__(self, reply: Reply) -> None:
        """Keep the reply."""
        super().__init__(reply.status)
        self.reply = reply


class Arrival:
    """The parser's side of a connection. Who uses it says where whole requests go."""

    __slots__ = (
        "_body",
        "_commons",
        "_complete",
        "_fields",
        "_head_done",
        "_headers",
        "_keep",
        "_limit",
        "_parser",
        "_peer",
        "_repeats",
        "_size",
        "_span",
        "_url",
    )

    def __init__(self, commons: Commons) -> None:
        """Expect the first request."""
        self._commons = commons
        self._parser: httptools.HttpRequestParser = httptools.HttpRequestParser(self)
        self._peer = ""
        self._headers: dict[str, str] = {}
        self._span = 0
        """Bytes received since the last whole request, at most."""
        self._complete = False
        """A request became whole in the bytes parsed last."""
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._fields: dict[str, str] = {}
        """Where headers go; once the head is whole, trailers."""
        self._body: bytes | bytearray = b""
        self._head_done = False
        self._size = self._repeats = 0

    def take(self, request: Request, line: str) -> None:
        """Take a whole request and the Connection line its answer is to have."""
        raise NotImplementedError

    def expected(self) -> None:
        """Hear that the client waits to be told to send the body."""
        raise NotImplementedError

    def refusal(self, reason: str) -> Reply:
        """Return the host's refusal of a request whose body is not going to be read."""
        return self._commons.host.refuse(self._request(b""), reason)

    # What the parser calls.

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self._url += url
        if len(self._url) > self._commons.listen.url_bytes:
            raise Stop(answers.URL_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Behind the body these are trailers, which nobody reads: they were not there to be judged."""
        headers = self._fields
        key = _NAMES.get(name) or name.decode("latin-1").lower()
        text = value.decode("latin-1").rstrip(_SPACE)
        headers[key] = self._repeated(key, text) if key in headers else text

    def _repeated(self, key: str, text: str) -> str:
        self._repeats += 1
        if key == "host" and not self._head_done:
            raise Stop(answers.HOST_MISSING)
        if self._repeats > self._commons.listen.header_count:
            raise Stop(answers.HEADERS_TOO_LARGE)
        between = _JOINED.get(key)
        return text if between is None else f"{self._fields[key]}{between}{text}"

    def on_headers_complete(self) -> None:
        """Judge the request by its head, before its body costs anything."""
        parser, headers, commons = self._parser, self._fields, self._commons
        self._headers = headers
        self._fields = {}
        self._head_done = True
        self._keep = keep = parser.should_keep_alive()
        self._limit = limit = commons.host.body_bytes
        listen = commons.listen
        if len(headers) + self._repeats > listen.header_count or (
            self._span > listen.header_bytes and self._head_size() > listen.header_bytes
        ):
            raise Stop(answers.HEADERS_TOO_LARGE)
        if parser.should_upgrade():
            raise Stop(answers.UPGRADE_REFUSED)
        if "host" not in headers or "transfer-encoding" in headers or not keep:
            self._check_version(parser.get_http_version())
        if "content-length" in headers and int(headers["content-length"]) > limit:
            raise Stop(self.refusal("body_too_large"))
        if "expect" in headers and parser.get_http_version() == "1.1":
            self._expect()

    def on_body(self, piece: bytes) -> None:
        """Collect the body. The usual body comes in one piece and is never copied."""
        self._size += len(piece)
        if self._size > self._limit:
            raise Stop(self.refusal("body_too_large"))
        if not self._body:
            self._body = piece
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece

    def on_message_complete(self) -> None:
        """Make a request of what arrived, and make room for the next."""
        self._complete = True
        if "connection" not in self._headers:
            line = "" if self._keep else answers.CLOSE
        else:
            line = answers.KEEP_ALIVE if self._keep else answers.CLOSE
        body = self._body
        request = self._request(body if type(body) is bytes else bytes(body))
        self._reset()
        self.take(request, line)

    # The head, judged.

    def _head_size(self) -> int:
        return len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers.items())

    def _check_version(self, version: str) -> None:
        headers = self._headers
        if version not in {"1.1", "1.0"}:
            raise Stop(answers.VERSION_REFUSED)
        if version == "1.1" and "host" not in headers:
            raise Stop(answers.HOST_MISSING)
        if "transfer-encoding" in headers and (version == "1.0" or headers["transfer-encoding"].lower() != "chunked"):
            raise Stop(answers.CODING_REFUSED)

    def _expect(self) -> None:
        if self._headers["expect"].lower() != "100-continue":
            raise Stop(answers.EXPECTATION_REFUSED)
        self.expected()

    def _request(self, body: bytes) -> Request:
        path, query = _targets.get(self._url) or _target(self._url)
        method = self._parser.get_method()
        word = _METHODS.get(method) or method.decode("latin-1")
        peer, headers, proxies = self._peer, self._headers, self._commons.proxies
        if proxies is None or not proxies.trust(peer):
            return Request(word, path, query, headers, body, peer)
        return Request(word, path, query, headers, body, proxies.client(peer, headers), proxied=True)


_targets: dict[bytes, tuple[str, str]] = {}
"""Short request targets seen lately, taken apart: nearly all requests ask for one of a dozen."""
_TARGETS, _SHORT = 256, 64


def _target(url: bytes) -> tuple[str, str]:
    """Return path and query of a request target. Of an absolute one the rest is dropped; `*` stays as it is."""
    target = url.decode("latin-1")
    if not target.startswith("/") and "://" in target:
        rest = target.partition("://")[2]
        slash = rest.find("/")
        target = rest[slash:] if slash >= 0 else "/"
    path, _, query = target.partition("?")
    if len(url) <= _SHORT:
        if len(_targets) >= _TARGETS:
            _targets.clear()
        _targets[url] = path, query
    return path, query
