"""
Putting an older configuration in force again: what would happen, and doing it.

The older one gets a new number, because numbers only ever grow and frames carry them. The user's files become those of
the older version, since the next start takes in what stands in them. What they hold now must not be lost by that: a
rollback is refused while they differ from the version in force, unless somebody has seen it and insists.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from customhouse.app.rules import problems_now
from customhouse.app.upkeep.written import forbidden, put_back, texts, texts_of
from customhouse.app.workspace import Workspace, accepted
from customhouse.model.errors import Misconfigured, Problem


class Prospect(Struct, frozen=True, kw_only=True):
    """What a rollback would do. Paths are relative to the workspace."""

    to: int
    in_force: int
    write: list[str]
    remove: list[str]
    unsaved: list[str]
    """Files that were changed since the version in force was accepted: their changes would be lost."""
    comments_lost: bool
    """The version is from before texts were kept: its files are written anew, without comments."""
    same: bool
    """The version says what is in force already."""
    seen: str
    """Hash of the files as they are, so that what was looked at is what is replaced."""


def prospect(workspace: Workspace, number: int) -> Prospect:
    """Return what a rollback to a version would do. Raises Misconfigured when there is no such version."""
    version, newest = accepted(workspace, number), accepted(workspace)
    if version is None or newest is None:
        hint = "see the numbers with `customhouse config log`"
        raise Misconfigured([Problem(f"version {number}", "there is no such version", hint)])
    there, wanted, kept = texts(workspace), texts_of(version), newest.files
    return Prospect(
        to=number,
        in_force=newest.number,
        write=[name for name, text in wanted.items() if there.get(name) != text],
        remove=[name for name in there if name not in wanted],
        unsaved=sorted(name for name in {*there, *kept} if there.get(name) != kept.get(name)),
        comments_lost=not version.files,
        same=version.content == newest.content,
        seen=_hash(there),
    )


def looked_at(workspace: Workspace) -> str:
    """Return the hash of the files as they are."""
    return _hash(texts(workspace))


def obstacles(workspace: Workspace, number: int, *, seen: str = "", force: bool = False) -> list[Problem]:
    """
    Return why the files may not be written back; empty when they may.

    `seen` is the hash of the files somebody agreed to replace. Raises Misconfigured when there is no such version.
    """
    found = prospect(workspace, number)
    problems = forbidden(workspace, [*found.write, *found.remove])
    if seen and seen != found.seen:
        hint = "look again with `customhouse config rollback --dry-run`"
        problems.append(Problem("the files on disk", "were changed since you looked", hint))
    if not force:
        hint = "put it in force with `customhouse reload`, or give it up with --force"
        message = "was changed since the version in force was accepted; the change would be lost"
        problems += [Problem(name, message, hint) for name in found.unsaved]
    return problems


def roll_back(
    workspace: Workspace, number: int, overrides: Mapping[str, Any], *, seen: str = "", force: bool = False
) -> Prospect:
    """
    Make the user's files those of a version; taking them in is the next step of who calls this.

    Only the supervisor, or who holds its lock, may call this. Raises Misconfigured with everything that stands against
    it, and then nothing was written; OSError when the disk refuses, and the next start or reload finishes it.
    """
    found, version = prospect(workspace, number), accepted(workspace, number)
    problems = obstacles(workspace, number, seen=seen, force=force)
    if version is not None:
        problems += problems_now(workspace, version, overrides)
    if problems:
        raise Misconfigured(problems)
    put_back(workspace, number)
    return found


def _hash(files: dict[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(files, order="deterministic")).hexdigest()
