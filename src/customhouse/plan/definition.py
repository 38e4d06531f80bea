"""
One event of the tracking plan: what people agreed on, as it stands in its file.

Strictly decoded, because a misspelt field of an agreement is an agreement nobody keeps. Every problem of a file is
found in one go.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

from customhouse.model.errors import Problem
from customhouse.plan import schemas
from customhouse.settings import decode
from customhouse.settings.kinds import nearest

IDENTIFIERS = ("user_id", "anonymous_id", "group_id", "previous_id", "timestamp")
"""What `requires` may name besides paths into the context."""
CONTEXT = "context."

_NAMED = ("track", "page", "screen")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")
_MAX_NAME = 200


class Definition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event of the plan. The field descriptions are the reference users read."""

    type: Annotated[
        Literal["track", "identify", "page", "screen", "group", "alias"],
        Meta(description="The kind of call."),
    ] = "track"
    event: Annotated[
        str,
        Meta(
            description="The event's name, exactly as it is sent. For `page` and `screen` the page's name, or left out "
            "for all pages that have no entry of their own; other types have none."
        ),
    ] = ""
    version: Annotated[
        str, Meta(description="MAJOR.MINOR.PATCH of this definition; stored with every event it judges.")
    ]
    owner: Annotated[str, Meta(description="Who answers for the event: a team or a person.")]
    description: Annotated[str, Meta(description="What happened when this event is sent, in a sentence.")]
    requires: Annotated[
        tuple[str, ...],
        Meta(
            description="What must be there besides properties: `user_id`, `anonymous_id`, `group_id`, `previous_id`, "
            "`timestamp`, or a path into the context such as `context.page.url`."
        ),
    ] = ()
    properties: Annotated[
        dict[str, Any],
        Meta(
            description="A JSON Schema 2020-12 for each property by name; for `identify` and `group` these are the "
            "traits. References stay within the event: `#/properties/…`."
        ),
    ] = {}
    required: Annotated[tuple[str, ...], Meta(description="Names of the properties that must be there.")] = ()
    additional_properties: Annotated[
        bool, Meta(description="Whether properties that are not named here may be sent as well.")
    ] = True

    @property
    def key(self) -> tuple[str, str]:
        """Return what makes it unique in a plan: its type and name."""
        return self.type, self.event

    @property
    def title(self) -> str:
        """Return what people call it: its type, and its name where there is one."""
        return f"{self.type} `{self.event}`" if self.event else self.type

    def schema(self) -> dict[str, Any] | None:
        """Return the JSON Schema its properties (or traits) must keep, or None when anything goes."""
        if not (self.properties or self.required) and self.additional_properties:
            return None
        schema: dict[str, Any] = {"type": "object", "properties": self.properties, "required": list(self.required)}
        if not self.additional_properties:
            schema["additionalProperties"] = False
        return schema


def read(data: Any, place: str) -> tuple[Definition | None, list[Problem]]:
    """Return the definition a document holds, or None and everything that is wrong with it."""
    definition, found = decode(Definition, data, place)
    if isinstance(data, dict):
        sound = _sound(data)
        found = [*found, *_naming(sound, place), *_promises(sound, place)]
        found += _requires(sound.get("requires", ()), place)
        found += _properties(sound, place)
    return (None, found) if found else (definition, [])


def _sound(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that are of their type, so that one bad field does not hide what is wrong with the others."""
    types = get_type_hints(Definition, include_extras=True)
    sound = {}
    for name in types.keys() & data.keys():
        try:
            sound[name] = msgspec.convert(data[name], types[name])
        except msgspec.ValidationError:
            continue
    return sound


def _naming(sound: dict[str, Any], place: str) -> list[Problem]:
    where = f"{place}: event"
    kind, name = sound.get("type", "track"), sound.get("event", "")
    if kind == "track" and not name:
        return [Problem(where, "a track event needs a name", "write it exactly as it is sent")]
    if name and kind not in _NAMED:
        return [Problem(where, f"calls of type `{kind}` have no name", "leave `event` out")]
    if name != name.strip() or len(name) > _MAX_NAME:
        return [Problem(where, f"a name has up to {_MAX_NAME} characters and no space around it")]
    return []


def _promises(sound: dict[str, Any], place: str) -> list[Problem]:
    found = [
        Problem(f"{place}: {name}", f"`{name}` is empty", hint)
        for name, hint in (("owner", "name a team or a person"), ("description", "say in a sentence what happened"))
        if name in sound and not sound[name].strip()
    ]
    if "version" in sound and not _VERSION.fullmatch(sound["version"]):
        found.append(Problem(f"{place}: version", "a version is MAJOR.MINOR.PATCH", "such as `1.0.0`"))
    return found


def _requires(words: Sequence[str], place: str) -> list[Problem]:
    found = []
    for nth, word in enumerate(words):
        path = word.removeprefix(CONTEXT)
        if word not in IDENTIFIERS and (path == word or not all(path.split("."))):
            hint = nearest(word, (*IDENTIFIERS, f"{CONTEXT}{path}"))
            found.append(Problem(f"{place}: requires[{nth}]", f"`{word}` is nothing an event can be asked for", hint))
    return found


def _properties(sound: dict[str, Any], place: str) -> list[Problem]:
    """Check the schemas, and that whatever is required is also described."""
    properties, required = sound.get("properties", {}), sound.get("required", ())
    found = schemas.problems({"type": "object", "properties": properties}, place)
    for nth, name in enumerate(required):
        where = f"{place}: required[{nth}]"
        if name in required[:nth]:
            found.append(Problem(where, f"`{name}` is named twice"))
        elif name not in properties:
            hint = nearest(name, properties) or f"describe it, or write `{name}: true` for any value"
            found.append(Problem(where, f"`{name}` is required but not among `properties`", hint))
    if sound.get("type") == "alias" and (properties or required):
        found.append(Problem(f"{place}: properties", "an alias carries no properties", "use `requires` alone"))
    return found
