"""
Plain data into msgspec Structs, strictly, with every problem at once.

`msgspec.convert` stops at the first fault and names it in a programmer's words. Whoever mends a configuration wants all
of them, with places and hints; so this walks msgspec's own description of the types.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import inspect

from customhouse.model.errors import Problem
from customhouse.settings import scalars
from customhouse.settings.kinds import bare, expected, found, info, nearest, one_of, shown
from customhouse.settings.walk import BAD, Reader, Spot, Walk

T = TypeVar("T")
ListKind = inspect.ListType | inspect.VarTupleType | inspect.FrozenSetType


def decode(kind: type[T], data: object, place: str) -> tuple[T | None, list[Problem]]:
    """
    Read plain data (as from YAML or JSON) as a value of `kind`, or say everything that is wrong with it.

    `place` names the file; each problem's place adds the path inside. A `ValueError` raised by a Struct's
    `__post_init__` becomes a problem in its own words (which must not contain secrets). Raises on no data at all.
    """
    walk = Walk(place, _READERS)
    value = walk.read(info(kind), data, Spot())
    return (None, walk.problems) if walk.problems else (value, [])


def _read_list(walk: Walk, kind: ListKind, data: object, spot: Spot) -> Any:
    if not isinstance(data, list):
        return walk.mismatch(kind, data, spot)
    items = [walk.read(kind.item_type, item, spot.item(nth)) for nth, item in enumerate(data)]
    if not scalars.size_fits(walk, kind, len(items), spot) or any(item is BAD for item in items):
        return BAD
    if isinstance(kind, inspect.FrozenSetType):
        return frozenset(items)
    return tuple(items) if isinstance(kind, inspect.VarTupleType) else items


def _read_mapping(walk: Walk, kind: inspect.DictType, data: object, spot: Spot) -> Any:
    if not isinstance(data, dict):
        return walk.mismatch(kind, data, spot)
    made = {}
    for key, value in data.items():
        inside = spot.key(key)
        name = walk.read(kind.key_type, key, Spot(inside.path, depth=inside.depth))
        made[key] = BAD if name is BAD else walk.read(kind.value_type, value, inside)
    fits = scalars.size_fits(walk, kind, len(data), spot)
    return made if fits and all(value is not BAD for value in made.values()) else BAD


def _read_struct(walk: Walk, kind: inspect.StructType, data: object, spot: Spot) -> Any:
    if not isinstance(data, dict):
        return walk.mismatch(kind, data, spot)
    fields = {field.encode_name: field for field in kind.fields}
    known = [kind.tag_field, *fields] if kind.tag_field else [*fields]
    for key in data:
        if key not in known:
            unused = [name for name in known if name not in data]
            walk.problem(spot.key(key), "unknown key", nearest(str(key), unused))
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in data:
            values[field.name] = walk.read(field.type, data[name], spot.key(name))
        elif field.required:
            values[field.name] = walk.problem(spot.key(name), f"missing; expected {expected(field.type)}")
    if any(value is BAD for value in values.values()):
        return BAD
    try:
        return kind.cls(**values)
    except ValueError as error:
        return walk.problem(spot, str(error))


def _read_union(walk: Walk, kind: inspect.UnionType, data: object, spot: Spot) -> Any:
    members = [member for member in kind.types if _could_be(bare(member)[0], data)]
    if not members:
        return walk.mismatch(kind, data, spot)
    structs = [member for member in (bare(m)[0] for m in members) if isinstance(member, inspect.StructType)]
    if isinstance(data, dict) and any(member.tag_field for member in structs):
        return _choose(walk, structs, data, spot)
    for member in members[:-1]:
        attempt = Walk(walk.place, walk.readers)
        value = attempt.read(member, data, spot)
        if not attempt.problems:
            return value
    return walk.read(members[-1], data, spot)


def _could_be(kind: inspect.Type, data: object) -> bool:
    """Say whether data is of this kind at first sight, so that the problems inside it are worth telling."""
    if isinstance(kind, inspect.LiteralType):
        return type(data) in {type(value) for value in kind.values}
    return isinstance(kind, inspect.AnyType) or type(data) in _SIGHT.get(type(kind), ())


def _choose(walk: Walk, kinds: Sequence[inspect.StructType], data: dict[Any, Any], spot: Spot) -> Any:
    """Pick from a catalogue the kind that the data's tag names."""
    field = kinds[0].tag_field or ""
    tags = {str(kind.tag): kind for kind in kinds}
    inside = spot.key(field)
    if field not in data:
        return walk.problem(inside, f"missing; expected {one_of(tags)}")
    tag = data[field]
    if not isinstance(tag, str):
        return walk.problem(inside, f"expected {one_of(tags)}, found {found(tag)}")
    if tag not in tags:
        return walk.problem(inside, f"{shown(tag)} is not {one_of(tags)}", nearest(tag, tags))
    return walk.read(tags[tag], data, spot)


def _read_tagged(walk: Walk, kind: inspect.StructType, data: object, spot: Spot) -> Any:
    """Read a Struct; one with a tag must be named by it even when there is nothing else to choose."""
    if kind.tag_field and isinstance(data, dict) and data.get(kind.tag_field) != kind.tag:
        return _choose(walk, [kind], data, spot)
    return _read_struct(walk, kind, data, spot)


_SIGHT: dict[type[inspect.Type], tuple[type, ...]] = {
    inspect.NoneType: (type(None),),
    inspect.BoolType: (bool,),
    inspect.IntType: (int,),
    inspect.FloatType: (int, float),
    inspect.StrType: (str,),
    inspect.ListType: (list,),
    inspect.VarTupleType: (list,),
    inspect.FrozenSetType: (list,),
    inspect.DictType: (dict,),
    inspect.StructType: (dict,),
}

_READERS: dict[type[inspect.Type], Reader] = {
    inspect.AnyType: scalars.read_anything,
    inspect.NoneType: scalars.read_nothing,
    inspect.BoolType: scalars.read_truth,
    inspect.IntType: scalars.read_whole,
    inspect.FloatType: scalars.read_number,
    inspect.StrType: scalars.read_text,
    inspect.LiteralType: scalars.read_literal,
    inspect.ListType: _read_list,
    inspect.VarTupleType: _read_list,
    inspect.FrozenSetType: _read_list,
    inspect.DictType: _read_mapping,
    inspect.StructType: _read_tagged,
    inspect.UnionType: _read_union,
}
