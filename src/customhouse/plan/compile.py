"""
A JSON Schema made into a judge: a fast yes, and for a no the reasons in words.

Words name the path, what was expected and the kind of thing that came. They never hold the value: explanations are
kept longer and shown to more people than the events they are about. Nothing is fetched, ever: a reference to another
document cannot be compiled. Patterns run in linear time, because the text they are tried on comes from strangers.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import jsonschema_rs
import msgspec

from customhouse.model.event import Violation
from customhouse.plan.typed import decoder

MAX_VIOLATIONS = 10
"""Of one event; a reader has understood long before."""

_MAX_WORDS = 200
_CODE_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$ -]{0,63}")
_DIGITS = re.compile(r"[0-9]")
_MOST_DIGITS = 4
"""Of a name in code; more of them are a phone number or an id used as a key."""


class Judge:
    """One schema (JSON Schema 2020-12, formats asserted), ready to judge many values. Raises ValueError if it is none."""

    __slots__ = ("_planned", "_typed", "_validator", "is_valid")

    def __init__(self, schema: dict[str, Any]) -> None:
        """Compile. The error is jsonschema_rs's ValidationError, with the place in its `instance_path`."""
        self._validator = jsonschema_rs.Draft202012Validator(
            schema, validate_formats=True, offline=True, pattern_options=jsonschema_rs.RegexOptions()
        )
        self._planned = frozenset(_planned(schema))
        self._typed = decoder(schema)
        self.is_valid: Callable[[Any], bool] = self._validator.is_valid
        """Say whether a value keeps the schema. About half a microsecond for a dozen properties."""

    def surely_keeps(self, text: bytes) -> bool:
        """
        Say whether JSON text keeps the schema, as far as its type alone can tell: False decides nothing.

        Names the schema does not know are skipped over; that their numbers and strings can be read is taken for granted.
        """
        if self._typed is None:
            return False
        try:
            self._typed(text)
        except (ValueError, RecursionError):
            return False
        return True

    def violations(self, value: Any, *, show: Callable[[str], str] | None = None) -> tuple[Violation, ...]:
        """
        Return up to ten ways in which the value breaks the schema, by path; none when it keeps it. Never raises.

        `show` says how keys of the value may be told; by default only those that the schema names or that look like
        names in code, because other keys may be data.
        """
        show = show or self._shown
        found: dict[Violation, None] = {}
        try:
            for error in self._validator.iter_errors(value):
                for violation in _told(error, show):
                    found[violation] = None
                if len(found) >= MAX_VIOLATIONS:
                    break
        except ValueError:
            # The library turns what it explains into values of its own, and those have a limit of depth.
            found[Violation("", "depth", "nests too deep to be explained")] = None
        return tuple(sorted(found, key=_place)[:MAX_VIOLATIONS])

    def _shown(self, name: str) -> str:
        return name if name in self._planned or _is_code(name) else "*"


def _place(violation: Violation) -> tuple[str, str, str]:
    return violation.path, violation.rule, violation.message


def _planned(schema: Any) -> Iterator[str]:
    """Find the property names a schema speaks of, at any depth."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "required" and isinstance(value, list):
                yield from (name for name in value if isinstance(name, str))
            elif key == "properties" and isinstance(value, dict):
                yield from value
            yield from _planned(value)
    elif isinstance(schema, list):
        for part in schema:
            yield from _planned(part)


def _is_code(name: str) -> bool:
    return bool(_CODE_NAME.fullmatch(name)) and len(_DIGITS.findall(name)) <= _MOST_DIGITS


def _path(steps: list[str | int], show: Callable[[str], str]) -> str:
    """Return a path as people write it: `products[0].price`; empty for the whole value."""
    # The library tells keys of digits alone as numbers too, so that a long one may be data as well.
    longest = 10**_MOST_DIGITS
    parts = (f".{show(step)}" if isinstance(step, str) else f"[{step if step < longest else '*'}]" for step in steps)
    words = "".join(parts)
    return words.removeprefix(".")


def _told(error: jsonschema_rs.ValidationError, show: Callable[[str], str]) -> Iterator[Violation]:
    name, rule = error.kind.name, error.kind.as_dict()
    if name == "required":
        yield Violation(_path([*error.instance_path, rule["property"]], show), name, "is required and missing")
    elif "unexpected" in rule and name != "unevaluatedItems":
        for key in rule["unexpected"][:MAX_VIOLATIONS]:
            yield Violation(_path([*error.instance_path, key], show), name, "is not allowed by the plan")
    else:
        words = _WORDS.get(name)
        expectation = words(rule, error.instance) if words else f"does not keep `{name}`"
        yield Violation(_path(error.instance_path, show), name, expectation)


_KINDS: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    Decimal: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


def _came(value: Any) -> str:
    """Name the kind of a JSON value."""
    return _KINDS[type(value)]


def _cut(words: str) -> str:
    return words if len(words) <= _MAX_WORDS else words[: _MAX_WORDS - 1] + "…"


def _json(value: Any) -> str:
    """Write a value of the plan (never of the event) as JSON."""
    return msgspec.json.encode(value).decode()


def _one_of(options: list[Any]) -> str:
    return _cut(", ".join(_json(option) for option in options))


_WORDS: dict[str, Callable[[dict[str, Any], Any], str]] = {
    "type": lambda rule, value: f"expected {' or '.join(sorted(rule['types']))}, came {_came(value)}",
    "enum": lambda rule, value: f"expected one of {_one_of(rule['options'])}, came another {_came(value)}",
    "const": lambda rule, value: f"expected {_cut(_json(rule['expected_value']))}, came another {_came(value)}",
    "format": lambda rule, _: f"expected text in the format `{rule['format']}`, came other text",
    "pattern": lambda rule, _: f"expected text that matches `{_cut(rule['pattern'])}`, came other text",
    "minimum": lambda rule, _: f"expected at least {rule['limit']}, came less",
    "maximum": lambda rule, _: f"expected at most {rule['limit']}, came more",
    "exclusiveMinimum": lambda rule, _: f"expected more than {rule['limit']}, came as much or less",
    "exclusiveMaximum": lambda rule, _: f"expected less than {rule['limit']}, came as much or more",
    "multipleOf": lambda rule, _: f"expected a multiple of {rule['multiple_of']}, came another number",
    "minLength": lambda rule, _: f"expected at least {rule['limit']} characters, came fewer",
    "maxLength": lambda rule, _: f"expected at most {rule['limit']} characters, came more",
    "minItems": lambda rule, _: f"expected at least {rule['limit']} items, came fewer",
    "maxItems": lambda rule, _: f"expected at most {rule['limit']} items, came more",
    "uniqueItems": lambda _, __: "expected items that differ, came equal ones",
    "contains": lambda _, __: "expected an item of the kind the plan asks for, came none",
    "minProperties": lambda rule, _: f"expected at least {rule['limit']} properties, came fewer",
    "maxProperties": lambda rule, _: f"expected at most {rule['limit']} properties, came more",
    "propertyNames": lambda _, __: "a property's name does not keep the plan's rule for names",
    "anyOf": lambda rule, value: f"fits none of the {len(rule['context'])} allowed forms, came {_came(value)}",
    "oneOf": lambda _, value: f"does not fit exactly one of the allowed forms, came {_came(value)}",
    "not": lambda _, value: f"is of a kind the plan excludes, came {_came(value)}",
    "falseSchema": lambda _, __: "the plan allows nothing here",
}
