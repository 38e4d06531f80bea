"""
The configuration types as JSON Schema 2020-12, so that editors complete and check `customhouse.yaml` while it is written.

msgspec knows the types; this adds what a person at an editor needs: titles, descriptions, and a red line under keys that
do not exist. The same types give the same text, so that the generated file can be compared.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import NODEFAULT, inspect

from customhouse.settings.kinds import bare, info
from customhouse.settings.reference import describe_field, plain_default

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(kind: Any, title: str = "Customhouse configuration") -> dict[str, Any]:
    """Return the JSON Schema of a configuration type. Defaults that are secret or not plain values are left out."""
    (root,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for struct in _structs(info(kind), set()):
        cls = struct.cls
        part = parts.get(cls.__name__) or parts[f"{cls.__module__}.{cls.__qualname__}"]
        part["additionalProperties"] = False
        for field in struct.fields:
            part["properties"][field.encode_name] = _annotated(part["properties"][field.encode_name], struct, field)
    return {"$schema": DIALECT, "title": title, **root, "$defs": dict(sorted(parts.items()))}


def _annotated(schema: dict[str, Any], struct: inspect.StructType, field: inspect.Field) -> dict[str, Any]:
    """Return the schema of a field with what people need: its title, description and default."""
    named = {"title": field.encode_name.replace("_", " ").capitalize()}
    description = describe_field(struct.cls, field)
    if description:
        named["description"] = description
    rest = {key: value for key, value in schema.items() if key != "default"}
    default = NODEFAULT if field.required else plain_default(field)
    return {**named, **rest} if default is NODEFAULT else {**named, **rest, "default": default}


def _structs(kind: inspect.Type, seen: set[type]) -> Iterator[inspect.StructType]:
    """Yield every Struct within a kind once."""
    kind, _, _ = bare(kind)
    inner: tuple[inspect.Type, ...] = ()
    match kind:
        case inspect.UnionType():
            inner = kind.types
        case inspect.ListType() | inspect.VarTupleType() | inspect.FrozenSetType():
            inner = (kind.item_type,)
        case inspect.DictType():
            inner = (kind.value_type,)
        case inspect.StructType() if kind.cls not in seen:
            seen.add(kind.cls)
            yield kind
            inner = tuple(field.type for field in kind.fields)
    for member in inner:
        yield from _structs(member, seen)
