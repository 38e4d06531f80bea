"""
A configuration as plain data, without the secrets that stand in it themselves.

Where secrets stand, the types say; and because data may be of another version, or broken, names that sound like a
secret are masked as well. References (`env:NAME`, `file:PATH`) are no secrets and stay.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from msgspec import inspect

from customhouse.app.configuration import Configuration
from customhouse.settings import is_literal

MASK = "••••••"
ANOTHER = "•••••• (another)"
_SECRET_NAME = re.compile(r"(^|_)(keys?|secrets?|passwords?|passphrases?|tokens?|credentials?|authorization|cookies?)$")
_HOLD_SECRETS = frozenset({"headers"})
_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]*(?=@)|(?<=[?&])[^#\s]+")
_LISTS = (inspect.ListType, inspect.VarTupleType)
_Kinds = tuple[inspect.Type, ...]


def masked(configuration: Any, before: Any = None) -> Any:
    """
    Return a configuration as plain data that may be seen.

    With `before`, the one it is compared with, a secret that took another's place is told from one that stayed.
    """
    return _masked(configuration, before, (_top(),), secret=False)


def _masked(data: Any, before: Any, kinds: _Kinds, *, secret: bool) -> Any:
    if isinstance(data, dict):
        others = before if isinstance(before, dict) else {}
        made = {}
        for name, each in data.items():
            below = _below(kinds, data, str(name))
            hide = secret or _sounds_secret(name) or any(map(_marked, below))
            made[name] = _masked(each, others.get(name), below, secret=hide)
        return made
    if isinstance(data, list):
        beside = before if isinstance(before, list) else []
        items = tuple(part.item_type for part in _parts(kinds) if isinstance(part, _LISTS))
        return [
            _masked(each, beside[n] if n < len(beside) else None, items, secret=secret) for n, each in enumerate(data)
        ]
    if data is None or isinstance(data, bool):
        return data
    if secret and (not isinstance(data, str) or is_literal(data)):
        hidden_before = before is not None and (not isinstance(before, str) or is_literal(before))
        return ANOTHER if hidden_before and before != data else MASK
    return _IN_ADDRESS.sub(MASK, data) if isinstance(data, str) and "://" in data else data


def _below(kinds: _Kinds, data: dict[Any, Any], name: str) -> _Kinds:
    """Return what may stand under a name in a mapping of these kinds."""
    found: list[inspect.Type] = []
    for part in _parts(kinds):
        if isinstance(part, inspect.DictType):
            found.append(part.value_type)
        elif isinstance(part, inspect.StructType) and data.get(part.tag_field, part.tag) == part.tag:
            found += [field.type for field in part.fields if field.encode_name == name]
    return tuple(found)


def _parts(kinds: _Kinds) -> Iterator[inspect.Type]:
    """Yield kinds without their metadata, unions taken apart."""
    for kind in kinds:
        if isinstance(kind, inspect.Metadata):
            yield from _parts((kind.type,))
        elif isinstance(kind, inspect.UnionType):
            yield from _parts(kind.types)
        else:
            yield kind


def _marked(kind: inspect.Type) -> bool:
    """Tell whether a kind is marked as secret, or what it directly holds is."""
    if isinstance(kind, inspect.Metadata):
        return bool((kind.extra or {}).get("secret")) or _marked(kind.type)
    if isinstance(kind, inspect.UnionType):
        return any(map(_marked, kind.types))
    if isinstance(kind, inspect.DictType):
        return _marked(kind.value_type)
    if isinstance(kind, _LISTS):
        return _marked(kind.item_type)
    return False


def _sounds_secret(name: object) -> bool:
    plain = str(name).lower().replace("-", "_")
    return plain in _HOLD_SECRETS or _SECRET_NAME.search(plain) is not None


@lru_cache(maxsize=1)
def _top() -> inspect.Type:
    return inspect.type_info(Configuration)
