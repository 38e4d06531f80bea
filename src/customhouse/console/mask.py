"""
Personal data, masked: whoever looks at an event sees its shape and not whose it is, until they ask and that is noted.

As long as the plan has no classes of data, names and looks decide: ids become keyed references, traits and whatever is
called like a person's data are masked whole, and so is text that looks like an address of a person or a machine or like
a key. Keys of objects stay, unless they look like that themselves.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from customhouse.wire.ids import as_id

Refer = Callable[[str, str], str]
"""Returns the keyed reference of an id of a kind: `user`, `anonymous` or `group`."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


DEEPEST = 64
_MASK = "••••"
_QUOTED_LEAST = 4
"""Characters from which on a masked value is also looked for in what others said about the event."""
_QUOTED_MOST = 500

_IDS = {
    "userid": "user",
    "anonymousid": "anonymous",
    "previousid": "anonymous",
    "groupid": "group",
}
_SUBTREES = _set(
    "traits user customer person contact recipient sender profile member identity identities externalid "
    "location geo cookies headers"
)
"""Objects and lists of these names are a person's altogether."""
_WORDS = _set(
    "email mail phone tel telephone mobile cell fax address addresses street city town zip postcode postal plz birthday "
    "birthdate birth dob gender sex age ssn passport iban bic card cvv cvc password passwd pwd secret token "
    "authorization auth cookie session ip latitude longitude lat lng lon idfa idfv gaid aaid fingerprint signature"
)
"""A name with one of these words in it is a person's, or a key to it."""
_NAMES = _set("first last full middle given family sur user nick display maiden customer contact legal company holder")
"""Before `name` they make it a person's."""
_JOINED = re.compile(
    r"email|phone|address|firstname|lastname|fullname|surname|username|nickname|givenname|familyname|password|passwd|"
    r"secret|token|apikey|zipcode|postcode|postalcode|birth|creditcard|cardnumber|useragent|advertisingid|deviceid|"
    r"taxid|vatid|sessionid|clientid|customerid|visitorid|memberid|accountid|distinctid|playerid"
)
_THINGS = _set("library app os device network campaign browser page screen")
"""What these are called, directly within the context, is nobody's name."""
_OWN = frozenset(("messageid", "eventid"))
"""Names of events: they look like keys, and are what an event is asked for by."""

_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_EMAIL = re.compile(r"[^\s@<>\"',;:/?=&]+@[^\s@<>\"',;:/?=&]+")
_V4 = re.compile(r"(?<![A-Za-z]/)(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_V6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_CALLED = re.compile(r"\+\d[\d\s().\-/]{5,}\d")
_DIALLED = re.compile(r"[\d\s().+\-/]{7,24}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RUN = re.compile(r"(?=[A-Za-z0-9]*[A-Za-z])(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{20,}|eyJ[\w-]{8,}|[A-Za-z0-9_-]{32,}")
_QUERY = re.compile(r"[?#][^?#]*=")


class Mask:
    """Masks one event wherever it is told; what was masked in one place is masked in what others said about it too."""

    def __init__(self, refer: Refer) -> None:
        """Name persons by `refer`."""
        self._refer = refer
        self._masked: set[str] = set()

    def value(self, value: Any) -> Any:
        """Return an event as JSON with personal data masked."""
        return self._walk(value, (), personal=False)

    def text(self, said: str) -> str:
        """Return what somebody said about the event, such as a destination's answer, without what was masked in it."""
        for part in sorted(self._masked, key=len, reverse=True)[:_QUOTED_MOST]:
            said = said.replace(part, _MASK)
        return plain(said)

    def _walk(self, value: Any, path: tuple[str, ...], *, personal: bool) -> Any:
        if len(path) > DEEPEST:
            return _MASK if value is not None else None
        if isinstance(value, Mapping):
            return self._object(value, path, personal=personal)
        if isinstance(value, list | tuple):
            return [self._walk(each, (*path, ""), personal=personal) for each in value]
        if personal or (isinstance(value, str) and not _own(path) and looks_personal(value)):
            return self._leaf(value, personal=personal)
        if isinstance(value, str) and _own(path) and _addressed(value):
            return self._leaf(value, personal=True)
        return value

    def _object(self, value: Mapping[Any, Any], path: tuple[str, ...], *, personal: bool) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, inner in value.items():
            name = str(key)
            shown = name if len(path) == 0 or not looks_personal(name) else _covered(name)
            while shown in found:
                shown += " "
            kind = _IDS.get("".join(_words(name)))
            person = as_id(inner) if kind else None
            if kind and person:
                self._note(str(inner).strip())
                found[shown] = self._refer(kind, person)
            else:
                below = personal or bool(kind) or _personal_name(name, inner, path)
                found[shown] = self._walk(inner, (*path, name), personal=below)
        return found

    def _leaf(self, value: Any, *, personal: bool) -> Any:
        if value is None:
            return None
        if isinstance(value, bool):
            return f"{_MASK} (true or false)"
        if isinstance(value, int | float):
            self._note(str(value))
            return f"{_MASK} (number)"
        text = str(value)
        self._note(text)
        query = _QUERY.search(text)
        if not personal and query and query.start() > 0 and not looks_personal(text[: query.start()]):
            return f"{text[: query.start() + 1]}{_covered(text[query.start() + 1 :])}"
        return _covered(text)

    def _note(self, text: str) -> None:
        if len(text) >= _QUOTED_LEAST:
            self._masked.add(text)


def looks_personal(text: str) -> bool:
    """Tell whether text looks like an address of a person or a machine, a telephone number, or a key."""
    if _addressed(text) or _UUID.search(text) or _RUN.search(text):
        return True
    return _QUERY.search(text) is not None


def plain(said: str) -> str:
    """Return a sentence without what looks personal in it."""
    for pattern in (_EMAIL, _V4, _V6, _CALLED, _UUID, _RUN):
        said = pattern.sub(_MASK, said)
    return said


def _addressed(text: str) -> bool:
    if "@" in text and _EMAIL.search(text):
        return True
    if _V4.search(text) or _V6.search(text) or _CALLED.search(text):
        return True
    dialled = _DIALLED.fullmatch(text.strip()) is not None and not _DATE.fullmatch(text.strip())
    return dialled and sum(character.isdigit() for character in text) >= 7


def _own(path: tuple[str, ...]) -> bool:
    return len(path) == 1 and "".join(_words(path[0])) in _OWN


def _words(name: str) -> list[str]:
    return [word.lower() for word in _SPLIT.findall(name)]


def _personal_name(name: str, inner: Any, path: tuple[str, ...]) -> bool:
    """Tell whether what stands under a name is a person's."""
    words = _words(name)
    joined = "".join(words)
    if joined == "traits" or (joined in _SUBTREES and isinstance(inner, Mapping | list | tuple)):
        return True
    if not _WORDS.isdisjoint(words) or _JOINED.search(joined):
        return True
    holder = next((step.lower() for step in reversed(path) if step), "")
    if joined == "id" and holder == "device":
        return True
    if not words or words[-1] not in ("name", "names"):
        return False
    if len(words) > 1:
        return words[-2] in _NAMES
    technical = len(path) == 2 and path[0] == "context" and holder in _THINGS
    return bool(path) and not technical


def _covered(text: str) -> str:
    return f"{_MASK} (text, {len(text)})"
