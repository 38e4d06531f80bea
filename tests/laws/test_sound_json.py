"""Text that msgspec skips over and `sound` calls sound decodes; text that does not decode is never called sound."""

import json

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from customhouse.wire import lenient

NUMBERS = st.from_regex(rb"-?(0|[1-9][0-9]{0,400})(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,5})?", fullmatch=True)
ESCAPES = st.sampled_from([b"\\ud83d", b"\\ude00", b"\\u0041", b"\\\\", b'\\"', b"\\n", b"\\uD800", b"\\x", b"\\u12"])
STRINGS = st.lists(ESCAPES | st.binary(max_size=4) | st.text(max_size=4).map(lambda t: t.encode("utf-8", "replace")))
SCALARS = NUMBERS | STRINGS.map(lambda pieces: b'"' + b"".join(pieces) + b'"') | st.sampled_from([b"null", b"NaN"])
BLANKS = st.sampled_from([b"", b" ", b"\n"])


def arrays(inner):
    return st.tuples(BLANKS, st.lists(inner, max_size=4)).map(
        lambda it: b"[" + (it[0] + b",").join(it[1]) + it[0] + b"]"
    )


def objects(inner):
    return st.lists(inner, max_size=3).map(lambda values: b"{" + b",".join(b'"k":' + v for v in values) + b"}")


TEXTS = st.recursive(SCALARS, lambda inner: arrays(inner) | objects(inner), max_leaves=8)


class Skipping(msgspec.Struct):
    part: msgspec.Raw


def decodes(text):
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def skips(text):
    try:
        return bytes(msgspec.json.decode(b'{"part":%b}' % text, type=Skipping).part)
    except (ValueError, RecursionError):
        return None


@given(TEXTS)
@example(b"[" + b"1" * 310 + b"]")
@example(b"[" + b"1" * 250 + b"e99]")
@example(b'["f8053ba9-f480-4b33-bde7-02f76110e964",1e999]')
@example(b"1e+0999")
@example(b'"\\ud800\\u0041"')
def test_sound_agrees_with_the_strict_decoder(text):
    raw = skips(text)
    if raw is not None:
        assert lenient.sound(raw) == decodes(raw)


@given(TEXTS | st.binary())
def test_what_loads_returns_is_json_for_everybody(text):
    read = lenient.loads(text)
    if read is None:
        assert not decodes(text)
        return
    value, repaired = read
    assert repaired != decodes(text)
    again = lenient.dumps(value)
    assert decodes(again) and json.loads(again) == value
