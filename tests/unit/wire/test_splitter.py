import pytest

from customhouse.wire.splitter import split


def elements(body, limit=100):
    found = split(body, b"batch", limit)
    return found.elements if found else None


def test_a_broken_event_keeps_to_itself():
    good, broken = b'{"a": "b,]}\\"{"}', b'{"a": [NaN, tru, "\xff"], x}'
    assert elements(b'{"batch": [%b , %b,%b] }' % (good, broken, good)) == [good, broken, good]


def test_members_keep_their_bytes_and_the_last_of_duplicates_wins():
    body = b'\xef\xbb\xbf {"sentAt": NaN, "context": {"a": [1]}, "batch": [1], "sentAt": "x\\"y" , "n": -1 }\n'
    found = split(body, b"batch", 100)
    assert found.members == {b"sentAt": b'"x\\"y"', b"context": b'{"a": [1]}', b"n": b"-1"}
    assert found.elements == [b"1"]


@pytest.mark.parametrize(
    ("array", "found"),
    [(b"[]", []), (b"[,]", []), (b"[{},]", [b"{}"]), (b"[1,,NaN]", [b"1", b"NaN"]), (b'["a,b" ]', [b'"a,b"'])],
)
def test_empty_places_are_no_events(array, found):
    assert elements(b'{"batch":%b}' % array) == found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b"{",
        b'{"batch":[',
        b'{"batch":[{}',
        b'{"batch":[{]',
        b'{"batch":[{}]',
        b'{"batch":[{}]}x',
        b'{"batch":["]}',
        b'{"batch":[{} {}]}',
        b'{"a":"x,"batch":[{}]}',
        b'{"batch":[}]}',
        b"\xff\xfe",
        b'{"a":',
    ],
)
def test_what_has_no_end_where_one_must_be_is_not_split(body):
    assert elements(body) is None


def test_no_array_of_that_name():
    assert split(b'{"batch":{"a":1},"b":[1]}', b"batch", 5).elements is None


def test_stops_one_element_behind_the_limit():
    assert len(elements(b'{"batch":[' + b"1," * 1000 + b"1]}", limit=10)) == 11


@pytest.mark.parametrize(
    "body",
    [
        b'{"batch":[' + b"[" * 8_000_000,
        b'{"batch":[' + b"[]" * 4_000_000 + b"]}",
        b'{"batch":[{"a":"' + b'\\"' * 4_000_000,
        b'{"batch":' + b"," * 8_000_000,
        b"{" + b'"a":1,' * 1_000_000 + b"}",
        b'{"batch":[' + b'"",' * 2_000_000,
    ],
    ids=range(6),
)
def test_hostile_bodies_cost_bounded_time(body):
    found = split(body, b"batch", 2500)
    assert found is None or len(found.elements or ()) <= 2501
