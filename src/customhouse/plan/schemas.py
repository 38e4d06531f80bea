"""
Checks the JSON Schemas people write into a plan, more strictly than JSON Schema itself asks for.

JSON Schema ignores what it does not know, so `minlenght` or `format: e-mail` would silently judge nothing. In a plan
such a word is a problem with the nearest known one as a hint. Keywords that begin with `x-` are free for notes.
"""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from customhouse.model.errors import Problem
from customhouse.plan.compile import Judge
from customhouse.settings.kinds import nearest

TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
FORMATS = (
    *("date", "date-time", "time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6"),
    *("uri", "uri-reference", "iri", "iri-reference", "uri-template", "uuid", "regex"),
    *("json-pointer", "relative-json-pointer"),
)
"""Those of JSON Schema 2020-12, section 7.3 of the validation vocabulary. All are asserted."""

_MAPS = ("properties", "patternProperties", "$defs", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLES = (
    *("items", "contains", "not", "if", "then", "else", "additionalProperties", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties", "contentSchema"),
)
_REFERENCES = ("$ref", "$dynamicRef")
_VALUES = (
    *("type", "enum", "const", "format", "pattern", "required", "dependentRequired"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minContains", "maxContains"),
    *("minProperties", "maxProperties", "contentEncoding", "contentMediaType", "$anchor", "$dynamicAnchor", "$comment"),
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
)
KEYWORDS = (*_MAPS, *_LISTS, *_SINGLES, *_REFERENCES, *_VALUES)
_WHOLE_DOCUMENT = ("$schema", "$id", "$vocabulary")

_META = Judge({"$ref": "https://json-schema.org/draft/2020-12/schema"})
"""The schema of schemas, which comes with the validator."""


def problems(schema: dict[str, Any], place: str) -> list[Problem]:
    """
    Return everything wrong with the schema of an object whose `properties` people wrote.

    `place` is the file's name; what stands behind it is the path inside the schema.
    """
    found = list(_walk(schema, place, ""))
    if found:
        return found
    broken = [_misshapen(f"{place}: {v.path}", v.message) for v in _META.violations(schema, show=str)]
    return broken or _compile(schema, place)


def _misshapen(place: str, message: str) -> Problem:
    mistaken = place.endswith(".required")
    hint = "list required properties beside `properties`: `required: [names]`" if mistaken else ""
    return Problem(place, message, hint)


def _compile(schema: dict[str, Any], place: str) -> list[Problem]:
    try:
        Judge(schema)
    except jsonschema_rs.ValidationError as error:
        return [Problem(place, f"the schema cannot be compiled: {error.message}")]
    return []


def _walk(schema: Any, place: str, path: str) -> Iterator[Problem]:
    """Find unknown words and references that lead outside, all the way down."""
    if not isinstance(schema, dict):
        return  # booleans are schemas; what else it may be, the schema of schemas says
    dot = f"{path}." if path else ""
    for key, value in schema.items():
        yield from _keyword(key, f"{place}: {dot}{key}")
        yield from _word(key, value, f"{place}: {dot}{key}")
        if key in _MAPS and isinstance(value, dict):
            for name, part in value.items():
                yield from _walk(part, place, f"{dot}{key}.{name}")
        elif key in _LISTS and isinstance(value, list):
            for nth, part in enumerate(value):
                yield from _walk(part, place, f"{dot}{key}[{nth}]")
        elif key in _SINGLES:
            yield from _walk(value, place, f"{dot}{key}")


def _keyword(key: str, place: str) -> Iterator[Problem]:
    if key in _WHOLE_DOCUMENT:
        yield Problem(place, f"`{key}` belongs to a whole document, not to a property", "plans are JSON Schema 2020-12")
    elif key not in KEYWORDS and not key.startswith("x-"):
        hint = nearest(key, KEYWORDS) or "notes of your own begin with `x-`"
        yield Problem(place, f"`{key}` is no keyword of JSON Schema 2020-12", hint)


def _word(key: str, value: Any, place: str) -> Iterator[Problem]:
    if key == "type":
        for word in value if isinstance(value, list) else [value]:
            if word not in TYPES:
                yield Problem(place, f"`{word}` is no JSON type", nearest(str(word), TYPES))
    elif key == "format" and value not in FORMATS:
        yield Problem(place, f"`{value}` is no known format", nearest(str(value), FORMATS))
    elif key in _REFERENCES and not str(value).startswith("#"):
        yield Problem(place, "the reference leads outside this event", "only `#/…` is followed; nothing is fetched")
    elif key == "pattern" and isinstance(value, str):
        yield from _pattern(value, place)
    elif key == "patternProperties" and isinstance(value, dict):
        for pattern in value:
            yield from _pattern(pattern, place)


def _pattern(pattern: str, place: str) -> Iterator[Problem]:
    try:
        Judge({"pattern": pattern})
    except jsonschema_rs.ValidationError:
        hint = "patterns run in linear time: no look-around, no back-references"
        yield Problem(place, f"`{pattern}` is no regular expression that can be used here", hint)
