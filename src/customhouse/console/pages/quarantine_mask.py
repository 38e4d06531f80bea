"""
Events masked for looking at and mended under the mask: what a person did not see and did not change stays what it was.

A masked text is edited as any other. Before it is judged, every masked value that was left alone gets its own value
back, found by its place, or where it was moved by being the only one that looks like that.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from customhouse.console.mask import Mask, Refer
from customhouse.console.pages.quarantine_shown import decoded, pretty

_SIGN = "••••"
_encode = msgspec.json.Encoder(decimal_format="number").encode
_NOTHING = object()


class Lost(Exception):
    """A masked value can no longer be told; its text says what to do. Leaves this room as words."""


class Veil:
    """Shows texts of one event, masked unless somebody asked to see."""

    def __init__(self, refer: Refer, *, shown: bool) -> None:
        """Name persons by `refer`; with `shown`, hide nothing."""
        self._mask = Mask(refer)
        self._shown = shown

    def text(self, text: str) -> str:
        """Return JSON laid out for people; what is no JSON cannot be masked by its names, and is left out."""
        if self._shown:
            return pretty(text)
        value = decoded(text)
        if value is None:
            return _UNREADABLE
        return pretty(_encode(self._mask.value(value)).decode())

    def words(self, said: str) -> str:
        """Return what was said about the event."""
        return said if self._shown else self._mask.text(said)

    def unveil(self, edited: str, original: str) -> str:
        """Return an edited text with its masked values as they are in the original. Raises Lost."""
        value, whole = decoded(edited), decoded(original)
        if self._shown or value is None or whole is None:
            if _SIGN in edited and _SIGN not in original:
                raise Lost(_WORDS)
            return edited
        masked = self._mask.value(whole)
        return _encode(_restored(value, masked, whole, _unique(masked, whole))).decode()


_WORDS = "a masked value was moved or changed, and cannot be told from others: show the values first, then edit"
_UNREADABLE = (
    "•••• this is no JSON, so personal data in it cannot be told apart.\n•••• Show the values to see and mend the text."
)


def _unique(masked: Any, whole: Any) -> dict[str, Any]:
    """Return by its masked form every value that alone looks like that."""
    found: dict[str, Any] = {}
    for shown, own in _leaves(masked, whole):
        found[shown] = own if shown not in found or found[shown] == own else _NOTHING
    return {shown: own for shown, own in found.items() if own is not _NOTHING}


def _leaves(masked: Any, whole: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(masked, dict) and isinstance(whole, dict):
        for shown, own in zip(masked.values(), whole.values(), strict=True):
            yield from _leaves(shown, own)
    elif isinstance(masked, list) and isinstance(whole, list):
        for shown, own in zip(masked, whole, strict=True):
            yield from _leaves(shown, own)
    elif isinstance(masked, str) and masked != whole:
        yield masked, whole


def _restored(value: Any, masked: Any, whole: Any, unique: Mapping[str, Any]) -> Any:
    """Return an edited value with what is still masked in it as it was. `masked` and `whole` stood in its place."""
    if isinstance(value, dict):
        names = dict(zip(masked, whole, strict=True)) if isinstance(masked, dict) and isinstance(whole, dict) else {}
        return {
            names.get(key, key): _restored(
                each,
                masked[key] if key in names else _NOTHING,
                whole[names[key]] if key in names else _NOTHING,
                unique,
            )
            for key, each in value.items()
        }
    if isinstance(value, list):
        aligned = isinstance(masked, list) and isinstance(whole, list) and len(masked) == len(value)
        pairs = zip(masked, whole, strict=True) if aligned else [(_NOTHING, _NOTHING)] * len(value)
        return [_restored(each, *pair, unique) for each, pair in zip(value, pairs, strict=True)]
    if not isinstance(value, str):
        return value
    if masked is not _NOTHING and value == masked:
        return whole
    if value in unique:
        return unique[value]
    if _SIGN in value:
        raise Lost(_WORDS)
    return value
