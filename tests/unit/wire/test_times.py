import math

import pytest

from customhouse.wire import times

T = 1_795_341_600_000_000  # 2026-11-22T10:00:00Z


@pytest.mark.parametrize(
    ("written", "us"),
    [
        ("2026-11-22T10:00:00Z", T),
        ("2026-11-22T10:00:00", T),
        ("2026-11-22 10:00:00", T),
        ("2026-11-22T10:00:00+00:00", T),
        ("2026-11-22T12:30:00+02:30", T),
        ("2026-11-22T02:00:00-0800", T),
        ("2026-11-22T10:00:00z", T),
        ("2026-11-22 10:00:00 UTC", T),
        ("2026-11-22 10:00:00 GMT", T),
        ("2026-11-22 11:00:00 +0100", T),
        ("  2026-11-22T10:00:00Z ", T),
        ("20261122T100000Z", T),
        ("2026-11-22", T - 36_000_000_000),
        ("2026-11-22T10:00:00.1Z", T + 100_000),
        ("2026-11-22T10:00:00.12Z", T + 120_000),
        ("2026-11-22T10:00:00.123Z", T + 123_000),
        ("2026-11-22T10:00:00.123456+00:00", T + 123_456),
        ("2026-11-22T10:00:00.123456789Z", T + 123_456),
        (1_795_341_600, T),
        (1_795_341_600.5, T + 500_000),
        (1_795_341_600_123, T + 123_000),
        (1_795_341_600_123_456, T + 123_456),
        ("1795341600", T),
        ("1795341600.25", T + 250_000),
        ("1795341600123", T + 123_000),
        ("1795341600123456", T + 123_456),
        # Both would pass for compact ISO 8601 of the year 1710.
        ("1710101212345", 1_710_101_212_345_000),
        ("1710101212", 1_710_101_212_000_000),
        (0, 0),
        ("1969-12-31T23:59:59.999999Z", -1),
    ],
)
def test_reads_every_form_sdks_send(written, us):
    assert times.parse(written) == us


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        True,
        False,
        "",
        " ",
        "-",
        "yesterday",
        "2026-13-01",
        "2026-11-22T25:00:00Z",
        "[object Object]",
        "NaN",
        [],
        {},
        [1],
        math.nan,
        math.inf,
        -math.inf,
        10**18,
        pytest.param(10**5000, id="5000 digits"),
        "9" * 50,
        pytest.param("1" * 10000, id="long"),
        pytest.param("2026-" + "1" * 10000, id="long year"),
        pytest.param(chr(0xD800), id="half"),
        pytest.param("2026-" + chr(0xD800), id="half in time"),
        "\N{ARABIC-INDIC DIGIT TWO}026-11-22",
        "\x00",
    ],
)
def test_what_is_no_time_is_none(nonsense):
    assert times.parse(nonsense) is None


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (T, "2026-11-22T10:00:00.000Z"),
        (T + 123_000, "2026-11-22T10:00:00.123Z"),
        (T + 123_456, "2026-11-22T10:00:00.123456Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (10**30, "9999-12-31T23:59:59.999999Z"),
        (-(10**30), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_writes_milliseconds_or_microseconds_in_utc(us, text):
    assert times.format(us) == text
