import math
import uuid

import pytest

from customhouse.wire.ids import LONGEST, as_id, hex_id, id_bytes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("u1", "u1"),
        ("  u1\n", "u1"),
        ("żółć", "żółć"),
        (7, "7"),
        (-7, "-7"),
        (2**70, str(2**70)),
        (7.0, "7"),
        (7.5, "7.5"),
        ("0", "0"),
        (0, "0"),
    ],
)
def test_texts_and_numbers_are_ids(value, text):
    assert as_id(value) == text


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        "",
        "  ",
        "\n",
        [],
        {},
        ["u1"],
        {"id": 1},
        math.nan,
        math.inf,
        -math.inf,
        pytest.param(10**5000, id="5000 digits"),
    ],
)
def test_everything_else_is_none(value):
    assert as_id(value) is None


def test_long_ids_are_cut_and_stay_apart():
    one, other = as_id("x" * 5000 + "1"), as_id("x" * 5000 + "2")
    assert len(one) == LONGEST and len(other) == LONGEST
    assert one != other
    assert as_id("x" * LONGEST) == "x" * LONGEST


def test_uuid_text_and_back():
    one = uuid.uuid4()
    assert hex_id(one.bytes) == str(one)
    assert id_bytes(str(one)) == one.bytes
    assert id_bytes(str(one).upper()) == one.bytes


@pytest.mark.parametrize("text", ["", "x", str(uuid.UUID(int=1))[:-1], "0" * 32, "g" * 36])
def test_other_texts_are_no_uuid(text):
    assert id_bytes(text) is None
