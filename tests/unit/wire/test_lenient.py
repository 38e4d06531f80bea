import json

import pytest

from customhouse.wire import lenient


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":NaN,"b":Infinity,"c":-Infinity}', {"a": None, "b": None, "c": None}),
        (b'{"a":1e999,"b":-1e999}', {"a": None, "b": None}),
        (b'{"a":%b}' % (b"9" * 5000), {"a": None}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"a":"\xff"}', {"a": "\ufffd"}),
        (b'{"a":"\\ud83d\\ude00 \\ud83d \\ude00"}', {"a": "\U0001f600 \ufffd \ufffd"}),
        (b'{"a":"\\\\ud83d \\ud83d"}', {"a": "\\ud83d \ufffd"}),
        (b'{"a":"\xed\xa0\xbd\xed\xb8\x80"}', {"a": "\U0001f600"}),
        (b'{"a":"\xed\xa0\xbd."}', {"a": "\ufffd."}),
        (b'{"a":"\\ud83d\xed\xb8\x80"}', {"a": "\ufffd\ufffd"}),
        (b'{"a":"x\ty\nz"}', {"a": "x\ty\nz"}),
        (b'{"a":NaN,"a":1}', {"a": 1}),
    ],
    ids=range(12),
)
def test_repairs_what_clients_break(text, value):
    assert lenient.loads(text) == (value, True)
    # What was repaired is JSON that any strict decoder takes.
    assert lenient.loads(lenient.dumps(value)) == (value, False)


@pytest.mark.parametrize("text", [b'{"a":[1,2.5,"x",null,true]}', b"1", b'"x"', b" [] ", b'{"a":1,"a":2}'])
def test_sound_json_comes_out_as_it_is(text):
    assert lenient.loads(text) == (json.loads(text), False)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a"}', b"nan", b"[1,]", b"{'a':1}", b'"\\x"', b"[" * 100_000, b'{"a":' * 100_000, b"\x00"],
    ids=range(10),
)
def test_what_is_beyond_repair_is_none(text):
    assert lenient.loads(text) is None


def nested(levels):
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("limit", [1, 64])
def test_depth_is_counted_exactly(limit):
    assert not lenient.deeper(nested(limit), limit)
    assert lenient.deeper(nested(limit + 1), limit)
    assert lenient.deeper(b'{"a":' * (limit + 1) + b"1" + b"}" * (limit + 1), limit)


def test_brackets_side_by_side_and_in_strings_are_no_depth():
    assert not lenient.deeper(b"[" + b",".join([b"[]"] * 500) + b"]", 2)
    assert not lenient.deeper(b'["' + b"[{" * 500 + b'\\"' + b"[" * 100 + b'"]', 1)
    assert lenient.deeper(b'["\\\\",' + b"[" * 10, 5)


def test_unclosed_strings_cost_linear_time():
    # Quadratic backtracking on this would take minutes and run into the suite's time limit.
    assert not lenient.deeper(b"[" * 10 + b'"' + b'\\"' * 1_000_000, 10)


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        (b'{"a":1}', True),
        (b'{"a":1e999}', False),
        (b'{"a":-1E+400}', False),
        (b'{"a":1.5e308}', True),
        (b'{"a":1e-999}', True),
        (b"[" + b"1" * 400 + b"e99]", False),
        (b"[" + b"1" * 5000 + b"]", False),
        (b'"1e999"', True),
        (b'{"id":"f8053ba9-f480-4b33-bde7-02f76110e964"}', True),
        (b'{"id":":1e999 [1e999"}', True),
        ('"zażółć"'.encode(), True),
        (b'"\xff"', False),
        (b'"\xed\xa0\x80"', False),
    ],
    ids=range(13),
)
def test_sound_tells_what_would_decode(text, sound):
    assert lenient.sound(text) is sound
    assert lenient.sound(b"{}", text, b"[]") is sound
