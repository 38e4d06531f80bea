"""
The SDK's own files, answered from memory: pages load them from the site's own address, and no other company is asked.

Everything is made ready when the shelf is filled: headers, ETags, the compressed copy. Names are looked up in a
dictionary, so there is no path to climb out of.
"""

import gzip
from collections.abc import Iterable

from msgspec import Struct

from customhouse.collector import cors
from customhouse.collector.front.files import TYPES, Kept
from customhouse.model.http import Reply, Request

FOLDER = "/sdk/"
_FOR_EVER = "public, max-age=31536000, immutable"
_A_WHILE = "public, max-age=300"
_WORTH = 0.95
"""A compressed copy is kept when it is at most this part of the file."""


class _Copy(Struct, frozen=True):
    reply: Reply
    unchanged: Reply
    etag: str


class Shelf:
    """Files by their names, with and without hash. Never changes."""

    __slots__ = ("_copies",)

    def __init__(self, files: Iterable[tuple[Kept, bytes]] = ()) -> None:
        """Make files ready, oldest first: the newest of a name has it. Takes a moment for compressing."""
        self._copies: dict[str, tuple[_Copy, _Copy]] = {}
        """The plain copy and the compressed one, which may be the same."""
        for kept, body in files:
            small = gzip.compress(body, 9, mtime=0)
            coded = small if len(small) <= _WORTH * len(body) else body
            for name, age in ((kept.name, _A_WHILE), (kept.file, _FOR_EVER)):
                self._copies[name] = (
                    _copy(kept, body, age, ""),
                    _copy(kept, coded, age, "gzip" if coded is small else ""),
                )

    def find(self, path: str, request: Request) -> Reply | None:
        """Return the answer for a path without prefix; None when there is no such file."""
        copies = self._copies.get(path.removeprefix(FOLDER)) if path.startswith(FOLDER) else None
        if copies is None:
            return None
        copy = copies[_takes_gzip(request.headers.get("accept-encoding", ""))]
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        reply = copy.unchanged if copy.etag in known or "*" in known else copy.reply
        shared = cors.headers_for(request) or cors.VARY
        return Reply(reply.status, reply.body, reply.content_type, reply.headers + shared)


def _copy(kept: Kept, body: bytes, age: str, coding: str) -> _Copy:
    etag = f'"{kept.sha384[:32]}{"-gz" if coding else ""}"'
    headers = (
        ("ETag", etag),
        ("Cache-Control", age),
        ("Vary", "Accept-Encoding"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),  # pages that isolate themselves may load it, too
        *((("Content-Encoding", coding),) if coding else ()),
    )
    kind = TYPES[f".{kept.name.rpartition('.')[2]}"]
    return _Copy(Reply(200, body, kind, headers), Reply(304, body, kind, headers), etag)


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.split(","):
        coding, _, weight = each.partition(";")
        if coding.strip().lower() in {"gzip", "x-gzip", "*"}:
            return weight.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
