"""
Secrets as users write them: `env:NAME`, `file:PATH`, or the text itself.

Configuration files are copied, committed and pasted into tickets, so they should say where a secret is, not what it
is. A literal is possible for examples and tests; `check` warns about it, and its representation hides it either way.
"""

import os
import re
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from customhouse.model.errors import Misconfigured, Problem
from customhouse.model.secret import Secret

SecretRef = Annotated[str, Meta(min_length=1, extra={"secret": True}, extra_json_schema={"writeOnly": True})]
"""The type of a configuration field that holds a secret or says where it stands."""

LARGEST = 64 * 1024
"""Bytes of a secret's file; more is surely the wrong file."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Masked(str):
    """
    Text of a secret field as `decode` hands it out: a `str` that shows a reference, and hides a literal.

    msgspec refuses to encode it, so no secret gets into a file by accident.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Show where the secret stands, or that it is a literal."""
        return "'(literal secret)'" if is_literal(self) else super().__repr__()

    def __str__(self) -> str:
        """Show where the secret stands, or that it is a literal."""
        return "(literal secret)" if is_literal(self) else self[:]

    def __format__(self, spec: str) -> str:
        """Show in an f-string what `str` shows."""
        return format(str(self), spec)


def is_literal(ref: str) -> bool:
    """Say whether the text is the secret itself instead of a reference to it."""
    return not ref.startswith(("env:", "file:"))


def resolve(ref: str, workspace: Path, place: str = "") -> Secret:
    """
    Return the secret a reference stands for. A relative `file:` path starts at the workspace.

    Raises Misconfigured with one problem at `place` when it is unset, empty or unreadable.
    """
    text = ref[:]
    if text.startswith("env:"):
        found = _from_environment(text[4:], place)
    elif text.startswith("file:"):
        found = _from_file(text[5:], workspace, place)
    else:
        found = text
    if not found:
        raise Misconfigured([Problem(place, "the secret is empty", "a secret has at least one character")])
    return Secret(found)


def _from_environment(name: str, place: str) -> str:
    if not _NAME.fullmatch(name):
        hint = "write `env:` and a name of letters, digits and underscores"
        raise Misconfigured([Problem(place, "what follows `env:` is not the name of an environment variable", hint)])
    value = os.environ.get(name)
    if value is None:
        hint = f"set {name} in the environment customhouse starts in"
        raise Misconfigured([Problem(place, f"the environment variable {name} is not set", hint)])
    return value


def _from_file(name: str, workspace: Path, place: str) -> str:
    if not name or "\0" in name:
        hint = "write `file:` and a path, absolute or from the workspace"
        raise Misconfigured([Problem(place, "what follows `file:` is not a path", hint)])
    path = workspace / name
    try:
        if not path.is_file():
            raise Misconfigured([Problem(place, f"there is no file {name}", "paths start at the workspace")])
        with path.open("rb") as file:
            body = file.read(LARGEST + 1)
    except OSError as error:
        hint = "the user customhouse runs as must be able to read it"
        raise Misconfigured([Problem(place, f"{name} cannot be read: {error.strerror}", hint)]) from None
    if len(body) > LARGEST:
        raise Misconfigured(
            [Problem(place, f"{name} is over {LARGEST} bytes", "a secret's file holds only the secret")]
        )
    try:
        return body.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        problem = Problem(place, f"{name} is not UTF-8 text", "a secret's file holds only the secret")
        raise Misconfigured([problem]) from None
