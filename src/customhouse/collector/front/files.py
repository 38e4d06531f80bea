"""
The folder `sdk` of a workspace: SDK files the door serves, each kept under a name with its hash, listed in a manifest.

A page quotes the name with the hash and the integrity value, so a newer file of the same name must not take the place
of the one that pages still quote: both stay, until they are removed. The plain name leads to the newest.
"""

import base64
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from customhouse.model.errors import Misconfigured, Problem

FORMAT = 1
MANIFEST = "manifest.json"
MOST_FILES = 20
MOST_BYTES = 2 * 1024 * 1024
TYPES = {".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".map": "application/json"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?:\.js|\.mjs|\.map)")
_SHOWN = 12
"""Hexadecimal digits of the hash in a file's name."""
_MOST_MANIFEST = 64 * 1024


class Kept(Struct, frozen=True, kw_only=True):
    """One file the door serves."""

    name: str
    """The plain name, which leads to the newest file of it."""
    file: str
    """The name with the hash: in the folder, and for pages."""
    sha384: str
    """Base64, as integrity attributes have it."""
    size: int
    added_at: int
    """Microseconds since 1970 in UTC."""


class Manifest(Struct, frozen=True, kw_only=True):
    """What lies in the folder, oldest first."""

    format: int = FORMAT
    files: tuple[Kept, ...] = ()


def manifest(folder: Path) -> Manifest:
    """Read the manifest; an empty one when there is none. Raises Misconfigured when it is not one we can read."""
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_MANIFEST + 1)
        found = msgspec.json.decode(text, type=Manifest)
    except FileNotFoundError:
        return Manifest()
    except (OSError, ValueError):
        hint = "move the folder away and add the files again: customhouse sdk add FILE"
        raise Misconfigured([Problem(str(path), "the list of SDK files cannot be read", hint)]) from None
    if found.format != FORMAT:
        message = f"the list of SDK files has format {found.format}; this version knows format {FORMAT}"
        raise Misconfigured(
            [Problem(str(path), message, "use the version of customhouse that wrote it, or a newer one")]
        )
    sound = all(NAME.fullmatch(each.name) and NAME.fullmatch(each.file) for each in found.files)
    if not sound or len(found.files) > MOST_FILES:
        hint = "move the folder away and add the files again: customhouse sdk add FILE"
        raise Misconfigured([Problem(str(path), "the list of SDK files was changed by hand", hint)])
    return found


def add(folder: Path, source: Path, name: str, now: int) -> Kept:
    """Copy a file into the folder and list it as the newest of its name. Raises Misconfigured; `now` in microseconds."""
    if not NAME.fullmatch(name):
        hint = "use letters, digits, `.`, `_`, `-`, and the ending .js, .mjs or .map; choose another with --name"
        raise Misconfigured([Problem(name, "this is no name for an SDK file", hint)])
    body = _read(source)
    digest = hashlib.sha384(body)
    stem, dot, ending = name.rpartition(".")
    stored = f"{stem}.{digest.hexdigest()[:_SHOWN]}{dot}{ending}"
    kept = Kept(name=name, file=stored, sha384=base64.b64encode(digest.digest()).decode(), size=len(body), added_at=now)
    folder.mkdir(exist_ok=True)
    with _alone(folder):
        others = tuple(each for each in manifest(folder).files if each.file != stored)
        if len(others) >= MOST_FILES:
            hint = "remove what no page uses any more: customhouse sdk list, customhouse sdk remove NAME"
            raise Misconfigured([Problem(str(folder), f"there are {MOST_FILES} SDK files already", hint)])
        if any(name == each.file or stored == each.name for each in others):
            raise Misconfigured([Problem(name, "another SDK file has this very name", "choose one with --name")])
        _write(folder / stored, body)
        _write(folder / MANIFEST, _encoded(Manifest(files=(*others, kept))))
    return kept


def remove(folder: Path, name: str) -> tuple[Kept, ...]:
    """Remove all files of a plain name, or the one of a name with a hash. Raises Misconfigured when there is none."""
    if not folder.is_dir():
        gone: tuple[Kept, ...] = ()
    else:
        with _alone(folder):
            files = manifest(folder).files
            gone = tuple(each for each in files if name in {each.name, each.file})
            if gone:
                _write(folder / MANIFEST, _encoded(Manifest(files=tuple(each for each in files if each not in gone))))
                for each in gone:
                    (folder / each.file).unlink(missing_ok=True)
    if not gone:
        raise Misconfigured([Problem(name, "there is no SDK file of this name", "see `customhouse sdk list`")])
    return gone


def load(folder: Path) -> tuple[list[tuple[Kept, bytes]], list[str]]:
    """Return every listed file with its bytes, and the names of those that are not what the list says of them."""
    found, broken = [], []
    for kept in manifest(folder).files:
        try:
            body = _read(folder / kept.file)
        except Misconfigured:
            body = b""
        if base64.b64encode(hashlib.sha384(body).digest()).decode() == kept.sha384:
            found.append((kept, body))
        else:
            broken.append(kept.file)
    return found, broken


def _read(path: Path) -> bytes:
    """Read a whole file within the bound. Raises Misconfigured."""
    hint = "name a JavaScript file that is there"
    if not path.is_file():  # a pipe would keep us waiting for ever
        raise Misconfigured([Problem(str(path), "there is no such file", hint)])
    try:
        with path.open("rb") as file:
            body = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Misconfigured([Problem(str(path), f"the file cannot be read: {error.strerror}", hint)]) from None
    if not body or len(body) > MOST_BYTES:
        message = "the file is empty" if not body else f"the file is larger than {MOST_BYTES:,} bytes"
        raise Misconfigured([Problem(str(path), message, "take the SDK's minified build")])
    return body


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from changing the folder meanwhile."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, body: bytes) -> None:
    """Write a file in one piece."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _encoded(listed: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(listed)) + b"\n"
