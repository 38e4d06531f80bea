"""
Unpacks request bodies: gzip, deflate, br, zstd, or nothing at all.

What a body is, its bytes say; headers lie (SDKs forget `Content-Encoding`, proxies unpack and leave it standing).
Nothing is ever unpacked further than the limits, so that no body is a bomb.
"""

import re
from typing import cast

import brotli
import zstandard
from isal import isal_zlib

from customhouse.model.contracts import Limits, Refusal

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_LAYERS = 2
_MEMBERS = 64
_RATIO_FREE = 1024 * 1024
_ZSTD_WINDOW = 8 * 1024 * 1024
"""What RFC 8878 asks every decoder to support, and nobody has a reason to exceed in a request."""

_JSON_START = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+[\[{]")
_INFLATES = Refusal("body_inflates", "the unpacked body is over the limit")

_Unpacked = bytes | Refusal
_BROKEN: tuple[type[Exception], ...] = (
    cast("type[Exception]", isal_zlib.IsalError),  # its stub takes the class for an instance
    brotli.error,
    zstandard.ZstdError,
    EOFError,
)


def inflate(body: bytes, encoding_header: str, limits: Limits) -> bytes | Refusal:
    """
    Return the body unpacked, at most two layers deep, or say why not: `body_unreadable` or `body_inflates`.

    `encoding_header` is the `Content-Encoding`, which only decides where the bytes themselves do not.
    """
    if not encoding_header and body[:2] != GZIP_MAGIC and body[:4] != ZSTD_MAGIC:
        return body
    bound = min(limits.inflated_bytes, max(_RATIO_FREE, limits.inflated_ratio * len(body)))
    named = [word for token in encoding_header[:256].split(",") if (word := token.strip().lower())]
    for _ in range(_LAYERS):
        kind = _kind(body, named)
        if not kind:
            return body
        if kind == "unknown":
            return Refusal("body_unreadable", "the encoding is unknown, or not the one that is named")
        unpacked = _unpack(kind, body, bound)
        if isinstance(unpacked, Refusal):
            # A brotli stream has no magic and may begin like JSON; JSON that is none of it is simply plain.
            return body if kind == "br" and _JSON_START.match(body) else unpacked
        if len(unpacked) > bound:
            return _INFLATES
        body = unpacked
    return Refusal("body_unreadable", "more than two encodings") if _packed(body) else body


def _packed(body: bytes) -> bool:
    return body[:2] == GZIP_MAGIC or body[:4] == ZSTD_MAGIC


def _kind(body: bytes, named: list[str]) -> str:
    """Say what the body is: an encoding, `unknown`, or empty for plain. Takes the layer's name off the list."""
    last = named.pop() if named else ""
    if body[:2] == GZIP_MAGIC:
        return "gzip"
    if body[:4] == ZSTD_MAGIC:
        return "zstd"
    if last == "br":
        return "br"
    if last in {"", "identity"} or not body or _JSON_START.match(body):
        return ""
    return "deflate" if last == "deflate" else "unknown"


def _gzip(body: bytes, bound: int) -> _Unpacked:
    """Unpack one or several members; zero padding behind them is usual, anything else is refused."""
    pieces: list[bytes] = []
    room = bound + 1
    for _ in range(_MEMBERS):
        unpacker = isal_zlib.decompressobj(31)
        piece = unpacker.decompress(body, room)
        pieces.append(piece)
        room -= len(piece)
        if room <= 0:
            return _INFLATES
        if not unpacker.eof:
            return Refusal("body_unreadable", "the gzip stream is cut short")
        body = unpacker.unused_data
        if not body or body[:2] != GZIP_MAGIC:
            break
    if body.strip(b"\0"):
        return Refusal("body_unreadable", "bytes stand behind the end of the gzip stream")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _deflate(body: bytes, bound: int) -> _Unpacked:
    """Unpack deflate with its zlib frame, as the standard has it, or raw, as several clients send it."""
    framed = body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    unpacker = isal_zlib.decompressobj(15 if framed else -15)
    unpacked: bytes = unpacker.decompress(body, bound + 1)
    if len(unpacked) <= bound and not unpacker.eof:
        return Refusal("body_unreadable", "the deflate stream is cut short")
    return unpacked


def _brotli(body: bytes, bound: int) -> _Unpacked:
    unpacker = brotli.Decompressor()
    unpacked: bytes = unpacker.process(body, output_buffer_limit=bound + 1)
    if len(unpacked) <= bound and not unpacker.is_finished():
        return Refusal("body_unreadable", "the brotli stream is cut short")
    return unpacked


def _zstd(body: bytes, bound: int) -> _Unpacked:
    promised = zstandard.frame_content_size(body)
    if promised > bound:
        return _INFLATES
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    with unpacker.stream_reader(body, read_across_frames=True) as reader:
        unpacked = reader.read(bound + 1)
    # The reader takes a stream that is cut short for a short stream; the frame's own promise tells.
    if len(unpacked) < promised or (promised < 0 and not unpacked):
        return Refusal("body_unreadable", "the zstd stream is cut short")
    return unpacked


_UNPACKERS = {"gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _zstd}


def _unpack(kind: str, body: bytes, bound: int) -> _Unpacked:
    """Unpack one layer; a little over `bound` at most, which the caller reads as too much."""
    try:
        return _UNPACKERS[kind](body, bound)
    except _BROKEN:
        return Refusal("body_unreadable", f"the {kind} stream is broken")
