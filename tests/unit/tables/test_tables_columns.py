from uuid import uuid4

from customhouse.tables.columns import days, texts, times, uuids


def test_ids_become_text():
    ids = [uuid4() for _ in range(100)]
    assert uuids([one.bytes for one in ids]).to_pylist() == [str(one) for one in ids]
    assert uuids([]).to_pylist() == []


def test_text_may_be_bytes_or_missing():
    assert texts(["a", b'{"\xc3\xa9":1}', None]).to_pylist() == ["a", '{"é":1}', None]


def test_what_is_no_unicode_is_replaced():
    assert texts(["fine", "\ud800", b"\xff", None]).to_pylist() == ["fine", "?", "\ufffd", None]


def test_times_beyond_all_bounds_are_no_times():
    assert times([0, None, 2**63, -(2**70)]).to_pylist()[1:] == [None, None, None]


def test_days_are_those_of_utc():
    day = 86_400_000_000
    assert [str(one) for one in days([0, day - 1, day, -1]).to_pylist()] == [
        "1970-01-01",
        "1970-01-01",
        "1970-01-02",
        "1969-12-31",
    ]
