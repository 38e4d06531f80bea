"""
A JSON Schema as a type that a decoder checks on the way: the fast yes of the judge, straight from the client's text.

Most schemas say no more than which properties there are, of what type and within which limits. Decoding into such a
type costs half of decoding into dictionaries and judging those. The type is never laxer than the schema: what it takes
keeps the schema; what it refuses may still keep it, and is judged in full. A schema that cannot be said so has no type.
"""

import math
import re
from collections.abc import Callable
from types import GenericAlias
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw

_NOTES = frozenset({"title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly", "$comment"})
_EXACT = 2**53
"""Whole numbers up to here are the same as integers and as floating point, so limits mean the same for both."""
_PLAIN_PATTERN = re.compile(r"\^(?:(?:\[[A-Za-z0-9_ -]+\]|[A-Za-z0-9_ -])(?:\{[0-9]{1,2}(?:,[0-9]{1,2})?\})?)+\$")
"""Means the same in every dialect, and takes no time to try."""


class _Beyond(Exception):
    """The schema says what no type can."""


def decoder(schema: dict[str, Any]) -> Callable[[bytes], Any] | None:
    """Return what decodes JSON text that surely keeps the schema, and raises ValueError for other text; None if there is none."""
    try:
        return msgspec.json.Decoder(_type(schema)).decode
    except (_Beyond, TypeError, ValueError):
        return None


def _type(schema: Any) -> Any:
    """Return a type that takes no value the schema does not."""
    if schema is True:
        return Raw
    if not isinstance(schema, dict):
        raise _Beyond
    said = {word: value for word, value in schema.items() if word not in _NOTES}
    if not said:
        return Raw
    if "enum" in said or "const" in said:
        return _choice(said)
    kind = said.pop("type", None)
    if isinstance(kind, list):
        return _union(kind, said)
    maker = _MAKERS.get(kind) if isinstance(kind, str) else None
    if maker is None:
        raise _Beyond
    made = maker(said)
    if said:
        raise _Beyond
    return made


def _choice(said: dict[str, Any]) -> Any:
    options = [said["const"]] if "const" in said else said["enum"]
    if (
        not said.keys() <= {"type", "enum", "const"}
        or said.keys() >= {"enum", "const"}
        or said.get("type", "string") != "string"
    ):
        raise _Beyond
    if not options or not all(type(option) is str for option in options):
        raise _Beyond
    return Literal[tuple(options)]


def _union(kinds: list[Any], said: dict[str, Any]) -> Any:
    found: Any = None
    simple = {"string": str, "boolean": bool, "null": type(None), "number": float, "integer": int}
    if said or not kinds or not simple.keys() >= set(kinds) or {"number", "integer"} <= set(kinds):
        raise _Beyond
    for kind in kinds:
        found = simple[kind] if found is None else found | simple[kind]
    return found


def _string(said: dict[str, Any]) -> Any:
    limits = _lengths(said, "minLength", "maxLength")
    pattern = said.pop("pattern", None)
    if pattern is not None:
        if not isinstance(pattern, str) or not _PLAIN_PATTERN.fullmatch(pattern):
            raise _Beyond
        # Python's `$` would let a line break follow.
        limits["pattern"] = pattern[:-1] + r"\Z"
    return Annotated[str, Meta(**limits)] if limits else str


def _number(said: dict[str, Any]) -> Any:
    return _limited(float, said)


def _integer(said: dict[str, Any]) -> Any:
    return _limited(int, said)


def _limited(kind: type, said: dict[str, Any]) -> Any:
    words = {"minimum": "ge", "exclusiveMinimum": "gt", "maximum": "le", "exclusiveMaximum": "lt"}
    limits = {short: said.pop(word) for word, short in words.items() if word in said}
    for limit in limits.values():
        if type(limit) not in {int, float} or not math.isfinite(limit) or abs(limit) > _EXACT:
            raise _Beyond
        if kind is int and limit != int(limit):
            raise _Beyond
    exact = {short: kind(limit) for short, limit in limits.items()}
    return Annotated[kind, Meta(**exact)] if exact else kind


def _array(said: dict[str, Any]) -> Any:
    item, limits = _type(said.pop("items", True)), _lengths(said, "minItems", "maxItems")
    kind: Any = GenericAlias(list, (item,))
    return Annotated[kind, Meta(**limits)] if limits else kind


def _object(said: dict[str, Any]) -> Any:
    properties, required = said.pop("properties", {}), said.pop("required", [])
    takes_others = said.pop("additionalProperties", True)
    if takes_others not in {True, False}:
        raise _Beyond
    # What is required and not described may be anything, unless nothing but the described may come.
    names = (
        {**properties, **{name: True for name in required if name not in properties}} if takes_others else properties
    )
    if not names.keys() >= set(required):
        raise _Beyond
    fields = {name: f"f{nth}" for nth, name in enumerate(names)}
    wanted: list[Any] = [(fields[name], _type(names[name])) for name in names if name in required]
    wanted += [(fields[name], _type(names[name]), None) for name in names if name not in required]
    return msgspec.defstruct(
        "Keeping",
        wanted,
        rename={field: name for name, field in fields.items()},
        forbid_unknown_fields=not takes_others,
        kw_only=True,
        gc=False,
    )


def _lengths(said: dict[str, Any], least: str, most: str) -> dict[str, Any]:
    limits = {"min_length": said.pop(least, None), "max_length": said.pop(most, None)}
    return {word: int(limit) for word, limit in limits.items() if limit is not None}


_MAKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": lambda _: bool,
    "null": lambda _: type(None),
    "array": _array,
    "object": _object,
}
