import gzip
import zlib

import brotli
import pytest
import zstandard

from customhouse.model.contracts import Limits, Refusal
from customhouse.wire.compression import inflate

JSON = b'{"batch":[' + b",".join(b'{"type":"track"}' for _ in range(100)) + b"]}"
LIMITS = Limits(inflated_bytes=4 * 1024 * 1024)


def raw_deflate(body):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


PACKED = {
    "gzip": gzip.compress(JSON),
    "deflate": zlib.compress(JSON),
    "deflate raw": raw_deflate(JSON),
    "br": brotli.compress(JSON),
    "zstd": zstandard.compress(JSON),
}


def reason(answer):
    assert isinstance(answer, Refusal)
    return answer.reason


@pytest.mark.parametrize("name", PACKED)
def test_unpacks_what_the_header_names(name):
    assert inflate(PACKED[name], name.split()[0], LIMITS) == JSON


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@pytest.mark.parametrize("header", ["", "br", "deflate", "identity", "nonsense"])
def test_magic_wins_over_any_header(name, header):
    assert inflate(PACKED[name], header, LIMITS) == JSON


@pytest.mark.parametrize("header", ["", "gzip", "deflate", "br", "zstd", "gzip, br", "x"])
@pytest.mark.parametrize("body", [JSON, b"  \n" + JSON, b"\xef\xbb\xbf" + JSON, b"[1]", b"{broken"])
def test_plain_json_stays_plain_under_a_wrong_header(header, body):
    assert inflate(body, header, LIMITS) == body


def test_two_encodings_and_no_more():
    twice = brotli.compress(gzip.compress(JSON))
    assert inflate(twice, "gzip, br", LIMITS) == JSON
    assert inflate(gzip.compress(gzip.compress(JSON)), "", LIMITS) == JSON
    assert reason(inflate(gzip.compress(gzip.compress(gzip.compress(JSON))), "", LIMITS)) == "body_unreadable"


def test_gzip_of_several_members_and_of_zero_padding():
    half = len(JSON) // 2
    members = gzip.compress(JSON[:half]) + gzip.compress(JSON[half:])
    assert inflate(members, "gzip", LIMITS) == JSON
    assert inflate(members + bytes(100), "gzip", LIMITS) == JSON
    assert reason(inflate(members + b"junk", "gzip", LIMITS)) == "body_unreadable"


def test_thousands_of_empty_members_are_refused():
    assert reason(inflate(gzip.compress(b"") * 5000, "gzip", LIMITS)) == "body_unreadable"


@pytest.mark.parametrize("name", PACKED)
def test_a_stream_cut_short_is_refused(name):
    assert reason(inflate(PACKED[name][:-9], name.split()[0], LIMITS)) == "body_unreadable"


@pytest.mark.parametrize("name", PACKED)
def test_a_broken_stream_is_refused(name):
    broken = bytearray(PACKED[name])
    broken[len(broken) // 2] ^= 0xFF
    broken[-6] ^= 0xFF
    answer = inflate(bytes(broken), name.split()[0], LIMITS)
    # Encodings without a checksum may yield other bytes; none may yield the right ones, or raise.
    assert answer != JSON


@pytest.mark.parametrize(
    ("name", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress), ("zstd", zstandard.compress)],
)
def test_a_bomb_is_refused_by_size_and_by_ratio(name, pack):
    assert reason(inflate(pack(bytes(5 * 1024 * 1024)), name, LIMITS)) == "body_inflates"
    roomy = Limits(inflated_bytes=64 * 1024 * 1024, inflated_ratio=50)
    assert reason(inflate(pack(bytes(30 * 1024 * 1024)), name, roomy)) == "body_inflates"


def test_a_high_ratio_is_fine_under_a_megabyte():
    body = b"{" + b" " * 900_000 + b"}"
    assert inflate(gzip.compress(body), "gzip", Limits(inflated_ratio=2)) == body


def test_no_body_is_no_fault_of_its_encoding():
    assert inflate(b"", "gzip", LIMITS) == b""
    assert inflate(b"", "", LIMITS) == b""


def test_what_is_neither_json_nor_the_named_encoding_is_refused():
    assert reason(inflate(b"data=abc", "gzip", LIMITS)) == "body_unreadable"
    assert reason(inflate(b"data=abc", "lz4", LIMITS)) == "body_unreadable"
    assert inflate(b"data=abc", "", LIMITS) == b"data=abc"
