"""
The configuration types told as rows: path, kind, default, description. The reference page is made of them.

A description is the `description` of the field's `msgspec.Meta`, or else the text that stands under the field in its
class, or else the first line of the docstring of the Struct it holds. A field without any is a gap; a test looks for it.
"""

import ast
import inspect as python
import json
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

from msgspec import NODEFAULT, Struct, inspect

from customhouse.settings.kinds import bare, expected, info, shown

REQUIRED = "required"


class Field(Struct, frozen=True):
    """One key that users may write."""

    path: str
    """Such as `destinations.<name>(webhook).url`: names users choose in angles, the `type` in parentheses."""
    type: str
    """In words, with its bounds."""
    default: str
    """As YAML would show it, or `required`."""
    description: str


def describe(kind: Any) -> list[Field]:
    """Return every key of a configuration type, in the order in which the types declare them."""
    return list(_rows(info(kind), "", ()))


def undescribed(kind: Any) -> list[str]:
    """Return the paths of the keys that nobody has described."""
    return [field.path for field in describe(kind) if not field.description]


def _rows(kind: inspect.Type, path: str, above: tuple[type, ...]) -> Iterator[Field]:
    """Yield the rows beneath a kind; `above` stops at types that contain themselves."""
    kind, _, _ = bare(kind)
    match kind:
        case inspect.UnionType():
            for member in kind.types:
                yield from _rows(member, path, above)
        case inspect.ListType() | inspect.VarTupleType() | inspect.FrozenSetType():
            yield from _rows(kind.item_type, f"{path}[]", above)
        case inspect.DictType():
            yield from _rows(kind.value_type, f"{path}.<name>" if path else "<name>", above)
        case inspect.StructType() if kind.cls not in above:
            inside = f"{path}({kind.tag})" if kind.tag_field else path
            for field in kind.fields:
                step = f"{inside}.{field.encode_name}" if inside else field.encode_name
                yield Field(step, _words(field.type), _default(field), describe_field(kind.cls, field))
                yield from _rows(field.type, step, (*above, kind.cls))


def describe_field(cls: type, field: inspect.Field) -> str:
    """Return the description of one field of a Struct, or an empty string."""
    members = [field.type, *_members(field.type)]
    own = next((text for _, _, text in map(bare, members) if text), "") or attribute_texts(cls).get(field.name, "")
    if own:
        return own
    held = next((kind for kind, _, _ in map(bare, members) if isinstance(kind, inspect.StructType)), None)
    return (python.getdoc(held.cls) or "").partition("\n")[0] if held is not None else ""


def plain_default(field: inspect.Field) -> Any:
    """Return the default when it may be shown: a value or a list of values, no Struct and no secret; else NODEFAULT."""
    if any(secret for _, secret, _ in map(bare, [field.type, *_members(field.type)])):
        return NODEFAULT
    default = field.default if field.default_factory is NODEFAULT else field.default_factory()
    if isinstance(default, list | tuple | frozenset):
        listed = sorted(default) if isinstance(default, frozenset) else list(default)
        return listed if all(isinstance(item, str | int | float) for item in listed) else NODEFAULT
    if default == {} or default is None or isinstance(default, str | int | float):
        return default
    return NODEFAULT


def _default(field: inspect.Field) -> str:
    if field.required:
        return REQUIRED
    default = plain_default(field)
    return "" if default is NODEFAULT else json.dumps(default, ensure_ascii=False)


def _members(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    kind, _, _ = bare(kind)
    return kind.types if isinstance(kind, inspect.UnionType) else ()


def _words(kind: inspect.Type) -> str:
    """Say what kind of value stands here, and within which bounds."""
    kind, secret, _ = bare(kind)
    if secret:
        return "a secret: `env:NAME`, `file:PATH` or the text"
    match kind:
        case inspect.UnionType():
            return " or ".join(dict.fromkeys(_words(member) for member in kind.types))
        case inspect.LiteralType():
            return " or ".join(shown(value) for value in kind.values)
        case inspect.ListType() | inspect.VarTupleType() | inspect.FrozenSetType():
            return f"a list of: {_words(kind.item_type)}"
        case inspect.DictType():
            return f"a mapping of names to: {_words(kind.value_type)}"
    bounds = (
        (f"{words} {bound}" if name != "pattern" else f"matching `{bound}`")
        for name, words in _BOUNDS.items()
        if (bound := getattr(kind, name, None)) is not None
    )
    return ", ".join((expected(kind), *bounds))


_BOUNDS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "multiple_of": "a multiple of",
    "min_length": "length at least",
    "max_length": "length at most",
    "pattern": "",
}


@lru_cache(maxsize=256)
def attribute_texts(cls: type) -> dict[str, str]:
    """Return the texts that stand under the fields of a class and of those it inherits from, by field."""
    texts: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        try:
            source = textwrap.dedent(python.getsource(parent))
        except (OSError, TypeError):
            continue  # made at run time, or in C: no text stands anywhere
        body = getattr(ast.parse(source).body[0], "body", [])
        for field, below in pairwise(body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[name] = python.cleandoc(text).replace("\n", " ")
    return texts
