"""
Kinds of data in words: what was expected and what was found, as a person would say it.

Kept apart from the decoding so that its messages read the same wherever they are made.
"""

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache, reduce
from operator import or_
from typing import Any

import msgspec
from msgspec import Struct, inspect

from customhouse.model.errors import Broken

NumberKind = inspect.IntType | inspect.FloatType
SizedKind = inspect.StrType | inspect.ListType | inspect.VarTupleType | inspect.FrozenSetType | inspect.DictType

_EXPECTED: dict[type[inspect.Type], str] = {
    inspect.NoneType: "nothing",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.StrType: "text",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.FrozenSetType: "a list",
    inspect.DictType: "a mapping",
    inspect.StructType: "a mapping",
}

_FOUND: dict[type, str] = {
    type(None): "nothing",
    bool: "a true-or-false value",
    int: "a whole number",
    float: "a number with a fraction",
    str: "text",
    list: "a list",
    dict: "a mapping",
}


def info(kind: Any) -> inspect.Type:
    """Return msgspec's own description of a type."""
    return inspect.type_info(kind)


def bare(kind: inspect.Type) -> tuple[inspect.Type, bool, str]:
    """Return a kind without its metadata, whether it is marked secret, and its description."""
    secret, description = False, ""
    while isinstance(kind, inspect.Metadata):
        secret = secret or bool((kind.extra or {}).get("secret"))
        description = description or (kind.extra_json_schema or {}).get("description", "")
        kind = kind.type
    return kind, secret, description


def expected(kind: inspect.Type) -> str:
    """Say what a kind wants, such as `a whole number or nothing`. Raises Broken for kinds configuration cannot have."""
    kind, _, _ = bare(kind)
    if isinstance(kind, inspect.AnyType):
        return "anything"
    if isinstance(kind, inspect.LiteralType):
        return one_of(shown(value) for value in kind.values)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(dict.fromkeys(expected(member) for member in kind.types))
    try:
        return _EXPECTED[type(kind)]
    except KeyError:
        raise Broken(f"configuration cannot hold a {type(kind).__name__}") from None


def found(data: object) -> str:
    """Say what kind of data this is, without showing it."""
    return _FOUND.get(type(data), "something that is not plain data")


def one_of(words: Iterable[str]) -> str:
    """List alternatives."""
    listed = list(words)
    return listed[0] if len(listed) == 1 else "one of " + ", ".join(listed)


def shown(value: object, longest: int = 60) -> str:
    """Show a value of the configuration in one short line, text in backquotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) and value.isprintable() else ascii(value)
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return f"`{cut}`" if isinstance(value, str) else cut


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word most like this one, or lists them when there are few."""
    words = [name for name in known if isinstance(name, str)]
    close = difflib.get_close_matches(word[:100], words, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known here: {', '.join(words)}" if 0 < len(words) <= 20 else ""


def tagged(kinds: Mapping[str, type[Struct]]) -> Any:
    """
    Return the union of the configuration types of a catalogue, chosen by the key `type`.

    The catalogue's names are the values of `type`; each instance decoded is an instance of the given class.
    """
    if not kinds:
        raise Broken("a catalogue without entries has no configuration type")
    return reduce(or_, (_named(name, kind) for name, kind in sorted(kinds.items())))


@lru_cache(maxsize=256)
def _named(name: str, kind: type[Struct]) -> type[Struct]:
    """Make the subclass that carries the tag; it keeps the name and description of its parent."""
    made = msgspec.defstruct(
        kind.__name__, [], bases=(kind,), tag_field="type", tag=name, module=f"{kind.__module__}.{name}"
    )
    made.__doc__ = kind.__doc__
    return made
