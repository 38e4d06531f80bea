"""What an inspection says of one thing: how it is, in numbers, and the command that mends it."""

from typing import Literal

from msgspec import Struct

Verdict = Literal["ok", "warning", "problem"]


class Finding(Struct, frozen=True):
    """One thing that was looked at. `problem` must be mended; `warning` will need somebody if it goes on."""

    name: str
    verdict: Verdict
    told: str
    mend: str = ""


def ok(name: str, told: str) -> Finding:
    """Say that a thing is well."""
    return Finding(name, "ok", told)


def warning(name: str, told: str, mend: str) -> Finding:
    """Say that a thing is doubtful, and what to do."""
    return Finding(name, "warning", told, mend)


def problem(name: str, told: str, mend: str) -> Finding:
    """Say that a thing must be mended, and how."""
    return Finding(name, "problem", told, mend)
