import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.telemetry.tracing import TraceParent, child, parse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", 1),
        (f" 00-{TRACE}-{SPAN}-00\t", 0),
        (f"00-{TRACE}-{SPAN}-ff", 1),
        (f"cc-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", 1),
    ],
)
def test_valid_parents_are_read(text, flags):
    assert parse(text) == TraceParent(TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-0１",  # noqa: RUF001  a digit, but not one of the form's
    ],
)
def test_invalid_parents_are_ignored(text):
    assert parse(text) is None
    assert child(text, bytes(8)) == ""


def test_a_child_keeps_the_trace_and_has_its_own_span():
    assert child(f"00-{TRACE}-{SPAN}-01", bytes(range(1, 20))) == f"00-{TRACE}-0102030405060708-01"
    assert child(f"cc-{TRACE}-{SPAN}-00-x", bytes(8)) == f"00-{TRACE}-0000000000000001-00"


def test_a_span_needs_its_bytes():
    with pytest.raises(ValueError, match="8 bytes"):
        child(f"00-{TRACE}-{SPAN}-01", b"short")


@given(st.text(max_size=80), st.binary(min_size=8, max_size=16))
def test_no_text_makes_it_raise(text, random_bytes):
    made = child(text, random_bytes)
    assert made == "" or parse(made) is not None
