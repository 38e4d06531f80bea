"""
Replies as bytes: status line, headers, body. Apart from the connection, so that another server can host the door.

Also the answers that belong to HTTP itself and to no protocol: malformed requests, time-outs, too many connections.
"""

from functools import lru_cache
from http import HTTPStatus

import msgspec

from customhouse.model.http import Reply

CLOSE = "Connection: close\r\n"
KEEP_ALIVE = "Connection: keep-alive\r\n"
_UNCHANGED = 304
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@lru_cache(maxsize=256)
def _start(status: int, content_type: str) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"HTTP/1.1 {status} {phrase}\r\n{kind}Content-Length: "


def render(reply: Reply, date: str, connection: str, *, head: bool = False) -> bytes:
    """
    Return the reply as it goes over the wire.

    `date` and `connection` are whole header lines or empty. With `head` the body is announced and left out, as it is
    in 304, which speaks of a body that the client has.
    """
    body = reply.body
    text = f"{_start(reply.status, reply.content_type)}{len(body)}\r\n{date}{connection}"
    for name, value in reply.headers:
        text += f"{name}: {value}\r\n"
    start = (text + "\r\n").encode("latin-1", "replace")
    return start if head or reply.status == _UNCHANGED else start + body


def problem(status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Return a reply that says what is wrong in the shape every SDK family reads: `code` and `message`."""
    return Reply(status, msgspec.json.encode({"code": code, "message": message}), headers=headers)


MALFORMED = problem(400, "malformed_request", "This is not an HTTP/1.1 request this server reads.")
HOST_MISSING = problem(400, "host_invalid", "Exactly one Host header is needed.")
UPGRADE_REFUSED = problem(400, "upgrade_refused", "This server speaks HTTP/1.1 only, without upgrades.")
CODING_REFUSED = problem(400, "transfer_encoding_refused", "The only transfer encoding is chunked, in HTTP/1.1.")
TIMED_OUT = problem(408, "request_timeout", "The request did not arrive in time.")
URL_TOO_LONG = problem(414, "url_too_long", "The request target is over `listen.url_bytes`.")
EXPECTATION_REFUSED = problem(417, "expectation_refused", "The only expectation met here is 100-continue.")
HEADERS_TOO_LARGE = problem(431, "headers_too_large", "The headers are over `listen.header_bytes` or `header_count`.")
INTERNAL = problem(500, "internal_error", "The request met a fault of the server's own.", (("Retry-After", "5"),))
TOO_MANY_CONNECTIONS = problem(503, "too_many_connections", "All connections are taken.", (("Retry-After", "5"),))
VERSION_REFUSED = problem(400, "version_refused", "This server speaks HTTP/1.0 and HTTP/1.1.")
