"""What the type of a schema takes keeps the schema: the fast yes never says yes to what the full judge refuses."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.plan.compile import Judge
from customhouse.plan.typed import decoder

NAMES = ("a", "b", "total", "items", "é")
LIMITS = st.integers(-3, 6) | st.sampled_from([0.5, 2.0, 2**53, 2**60, -(2**53), 1e300])
LENGTHS = st.integers(0, 4)


def limited(kind: str, words: tuple[str, ...], limits: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=dict.fromkeys(words, limits))


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)},
        optional={
            "required": st.lists(st.sampled_from(NAMES), unique=True, max_size=2),
            "additionalProperties": st.booleans(),
        },
    )


def arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just("array")}, optional={"items": inner, "minItems": LENGTHS, "maxItems": LENGTHS}
    )


LEAVES = st.one_of(
    st.just(True),
    st.just({"description": "anything"}),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"enum": ["x", "yz"]}, {"const": "x"}, {"enum": ["x", 1]}]),
    st.lists(st.sampled_from(["string", "null", "integer", "number", "boolean"]), min_size=1, unique=True).map(
        lambda kinds: {"type": kinds}
    ),
    limited("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), LIMITS),
    limited("integer", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), LIMITS),
    limited("string", ("minLength", "maxLength"), LENGTHS),
    st.sampled_from(["^[A-Z]{3}$", "^a$", "^[a-z]{1,2}x$", "a", "^a+$", "^\\d$"]).map(
        lambda pattern: {"type": "string", "pattern": pattern}
    ),
)
SCHEMAS = objects(st.recursive(LEAVES, lambda inner: objects(inner) | arrays(inner), max_leaves=6))

NUMBERS = st.integers(-4, 7) | st.sampled_from([0.5, 2.0, -0.0, 1e300, 2**53 + 1, 2**60 - 1, 2**64, 10**30, -(10**30)])
TEXTS = st.sampled_from(["", "x", "yz", "EUR", "EUR\n", "a", "a\n", "abx", "𝄞𝄞", "e\u0301", "1", "aa"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from((*NAMES, "other")), inner, max_size=4),
    max_leaves=8,
)


@given(
    SCHEMAS, st.lists(st.dictionaries(st.sampled_from((*NAMES, "other")), VALUES, max_size=5), min_size=1, max_size=8)
)
def test_what_the_type_takes_keeps_the_schema(schema: dict[str, Any], values: list[Any]) -> None:
    judge = Judge(schema)
    for value in values:
        if judge.surely_keeps(json.dumps(value).encode()):
            assert judge.is_valid(value)


def test_an_ordinary_schema_has_a_type_and_takes_what_keeps_it() -> None:
    schema = {
        "type": "object",
        "properties": {
            "order_id": {"type": "string", "minLength": 1, "description": "The number."},
            "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
            "total": {"type": "number", "minimum": 0},
            "products": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "object", "properties": {"quantity": {"type": "integer"}}, "required": ["quantity"]},
            },
        },
        "required": ["order_id"],
    }
    judge = Judge(schema)
    assert judge.surely_keeps(
        b'{"order_id":"1","currency":"EUR","total":3,"products":[{"quantity":2,"x":[]}],"more":1}'
    )
    assert not judge.surely_keeps(b'{"order_id":"1","currency":"euro"}')
    assert not judge.surely_keeps(b'{"currency":"EUR"}')
    assert not judge.surely_keeps(b'{"order_id":null}')
    assert not judge.surely_keeps(b'{"order_id":"1","products":[]}')


@pytest.mark.parametrize(
    "said",
    [
        {"format": "email", "type": "string"},
        {"multipleOf": 2, "type": "integer"},
        {"$ref": "#/properties/a"},
        {"minLength": 2},
        {"type": "array", "uniqueItems": True},
        {"type": "object", "patternProperties": {}},
        {"enum": [1, 2]},
        False,
    ],
)
def test_what_no_type_can_say_has_none(said: Any) -> None:
    assert decoder({"type": "object", "properties": {"a": {"type": "string"}, "b": said}}) is None
