"""
The files a user writes, as text: what a configuration was made from, and how an older one is put back in their place.

Processes never need these texts; people do, because their comments and their order stand in no other place. A version
from before texts were kept is written out anew, without them.

Putting back is safe against a crash: a note beside the versions says which one is on its way back, and stays until
every file stands and the configuration is accepted; whoever accepts next finishes what was begun.
"""

import re
import stat
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from customhouse.app.upkeep.durable import write_durably
from customhouse.app.workspace import CONFIG_FILE, Accepted, Workspace, accepted
from customhouse.log.files import sync_folder
from customhouse.model.errors import Misconfigured, Problem
from customhouse.plan.load import SUFFIXES

_PLAIN = re.compile(r"[^a-z0-9]+")
_PLAN = "plan"
_USUAL_MODE = 0o644


class Returning(Struct, frozen=True):
    """The note of a rollback on its way."""

    to: int
    written: bool
    """Every file stands; what is left is that the configuration is accepted."""
    format: Literal[1] = 1


def texts(workspace: Workspace) -> dict[str, str]:
    """Return the text of the configuration and of every plan file that would be read, by path under the workspace."""
    return {path.relative_to(workspace.root).as_posix(): _text(path) for path in _files(workspace)}


def texts_of(version: Accepted) -> dict[str, str]:
    """Return the files of a version: as they were, or written out anew when their text was not kept."""
    if version.files:
        return version.files
    import yaml

    def written(data: Any) -> str:
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)

    files = {CONFIG_FILE: written(version.configuration)}
    for event in version.plan.get("events", []):
        name = _PLAIN.sub("_", str(event.get("event") or event.get("type", "event")).lower()).strip("_") or "event"
        path, nth = f"{_PLAN}/{name}.yaml", 1
        while path in files:
            nth += 1
            path = f"{_PLAN}/{name}_{nth}.yaml"
        files[path] = written(event)
    return files


def forbidden(workspace: Workspace, paths: list[str]) -> list[Problem]:
    """Return why some of these files may not be written: only plain files of the workspace itself ever are."""
    root = workspace.root.resolve()
    found = []
    for name in paths:
        path = root / name
        plan = name.startswith(f"{_PLAN}/") and path.suffix in SUFFIXES and ".." not in path.parts
        if name != CONFIG_FILE and not plan:
            found.append(Problem(name, "is no file of a configuration or plan", "put it back by hand"))
        elif path.is_symlink() or path.parent.resolve() != path.parent:
            found.append(Problem(name, "is reached through a link", "put it back where the link leads, then reload"))
    return found


def put_back(workspace: Workspace, number: int) -> tuple[list[str], list[str]]:
    """
    Make the user's files those of a version; return what was written and what was removed.

    May be begun again after a crash. Raises Misconfigured when there is no such version, or a path is not ours to
    write; OSError when the disk refuses, and the note stays.
    """
    version = accepted(workspace, number)
    if version is None:
        hint = "see `customhouse config log`"
        raise Misconfigured([Problem(f"version {number}", "there is no such version", hint)])
    wanted, there = texts_of(version), texts(workspace)
    write = [name for name, text in wanted.items() if there.get(name) != text]
    remove = [name for name in there if name not in wanted]
    wrong = forbidden(workspace, [*write, *remove])
    if wrong:
        raise Misconfigured(wrong)
    _note(workspace, Returning(number, written=False))
    for name in write:
        _replace(workspace.root / name, wanted[name])
    for name in remove:
        (workspace.root / name).unlink(missing_ok=True)
    for folder in {(workspace.root / name).parent for name in [*write, *remove]}:
        sync_folder(folder)
    _note(workspace, Returning(number, written=True))
    return write, remove


def finish(workspace: Workspace) -> Returning | None:
    """Return the note of a rollback that is not accepted yet, after its files have been put back whole."""
    note = returning(workspace)
    if note is not None and not note.written:
        put_back(workspace, note.to)
    return note


def returning(workspace: Workspace) -> Returning | None:
    """Return the note of a rollback on its way; None when there is none."""
    try:
        return msgspec.json.decode(_note_file(workspace).read_bytes(), type=Returning)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:  # it is written in one piece: somebody else's file
        hint = f"remove {_note_file(workspace)}"
        raise Misconfigured([Problem(str(_note_file(workspace)), "is no note of a rollback", hint)]) from None


def forget(workspace: Workspace) -> None:
    """Take the note away: what was to come back is accepted, or given up."""
    _note_file(workspace).unlink(missing_ok=True)


def _files(workspace: Workspace) -> list[Path]:
    found = [workspace.config_file] if workspace.config_file.is_file() else []
    plan = workspace.plan
    for path in sorted(plan.rglob("*")) if plan.is_dir() else []:
        hidden = any(part.startswith(".") for part in path.relative_to(plan).parts)
        if path.suffix in SUFFIXES and not hidden and path.is_file():
            found.append(path)
    return found


def _text(path: Path) -> str:
    # Bytes, so that line ends stay as they are; what is no UTF-8 is refused when the file is read for its meaning.
    return path.read_bytes().decode("utf-8", "replace")


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else _USUAL_MODE
    write_durably(path, text.encode(), mode=mode)


def _note_file(workspace: Workspace) -> Path:
    return workspace.data / "config" / "rollback"


def _note(workspace: Workspace, note: Returning) -> None:
    write_durably(_note_file(workspace), msgspec.json.encode(note))
