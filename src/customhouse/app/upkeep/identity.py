"""
Who a workspace is: an id that a back-up carries and compares, and a key for references to persons.

A person's id in a URL would stand in browsers' histories and in proxies' logs. What stands there is keyed with a
secret of the workspace, so that nobody who has only the URL can try ids against it.
"""

import secrets
import uuid
from pathlib import Path

import msgspec
from msgspec import Struct

from customhouse.app.upkeep.durable import write_durably
from customhouse.model.errors import Misconfigured, Problem

FORMAT = 1
IDENTITY = "identity.json"
KEYS = "keys"
REFERENCE = "reference"
KEY_BYTES = 32


class Identity(Struct, frozen=True, kw_only=True):
    """What makes this workspace this one; kept for ever, also through back-up and restore."""

    format: int = FORMAT
    workspace: str
    """A random UUID."""
    created_at: int
    """When the data folder was made, microseconds since 1970."""


class _Format(Struct, frozen=True):
    """The one field every format of it has."""

    format: int = FORMAT


def identity(data: Path) -> Identity:
    """Return who the workspace with this data folder is. Raises Misconfigured when nothing readable says so."""
    path = data / IDENTITY
    try:
        content = path.read_bytes()
        if (format_ := msgspec.json.decode(content, type=_Format).format) > FORMAT:
            message = f"it has format {format_}; this version knows format {FORMAT}"
            hint = "use the version of customhouse that wrote it, or a newer one"
            raise Misconfigured([Problem(str(path), message, hint)])
        found = msgspec.json.decode(content, type=Identity)
        uuid.UUID(found.workspace)
    except FileNotFoundError:
        hint = "start `customhouse run` once, which makes it, or restore the file from a back-up"
        raise Misconfigured([Problem(str(path), "there is no such file", hint)]) from None
    except (OSError, ValueError) as error:  # also what msgspec raises
        message = f"it cannot be read ({type(error).__name__})"
        raise Misconfigured([Problem(str(path), message, "restore the file from a back-up")]) from None
    return found


def make_identity(data: Path, created_at: int) -> None:
    """Give the workspace an id, unless it has one."""
    if not (data / IDENTITY).exists():
        made = Identity(workspace=str(uuid.uuid4()), created_at=created_at)
        write_durably(data / IDENTITY, msgspec.json.format(msgspec.json.encode(made)) + b"\n")


def reference_key(data: Path) -> bytes:
    """Return the key of references to persons. Raises Misconfigured when it is missing or not whole."""
    path = data / KEYS / REFERENCE
    try:
        key = path.read_bytes()
    except OSError:
        key = b""
    if len(key) != KEY_BYTES:
        hint = "start `customhouse run` once, which makes it, or restore the file from a back-up"
        message = "it is not the key it should be" if key else "the key of references to persons cannot be read"
        raise Misconfigured([Problem(str(path), message, hint)])
    return key


def make_reference_key(data: Path) -> None:
    """Make the key of references to persons, unless it is there. Only its owner may read it."""
    folder = data / KEYS
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    if not (folder / REFERENCE).exists():
        write_durably(folder / REFERENCE, secrets.token_bytes(KEY_BYTES))
