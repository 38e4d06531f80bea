"""
The configurations for windows: what runs, every numbered version, how any two differ, and the files before they are loaded.

Versions are read one by one and only those that are asked for: a house may have thousands.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from customhouse.app.configuration import read, warnings
from customhouse.app.process import KINDS, announcement
from customhouse.app.rules import problems_now
from customhouse.app.upkeep.written import texts
from customhouse.app.windows.differences import Difference, Side, as_yaml, difference, summary
from customhouse.app.windows.masks import masked
from customhouse.app.workspace import CONFIG_FILE, Accepted, Workspace, accepted
from customhouse.model.errors import Misconfigured, Problem
from customhouse.plan.load import load as load_plan
from customhouse.plan.plan import Plan
from customhouse.settings import load_yaml
from customhouse.settings.load import parse_yaml

ON_DISK = "files on disk"


class Version(Struct, frozen=True, kw_only=True):
    """One accepted configuration, in a line. `accepted_at` is in microseconds since 1970."""

    number: int
    plan_release: int
    accepted_at: int
    changed: str
    rolled_back_to: int
    in_force: bool
    files_kept: bool
    """Its files can be put back as they were written, comments included."""


class Running(Struct, frozen=True):
    """One process, and the version it works by. `ready_at` is in seconds since 1970; `config` is None while it is down."""

    kind: str
    config: int | None
    ready_at: float | None


class Disk(Struct, frozen=True):
    """The files on disk against the version in force."""

    problems: list[Problem]
    warnings: list[Problem]
    difference: Difference | None
    """None when the files cannot be understood far enough to compare them."""
    only_text: list[str] = []
    """Files in which only comments or layout differ."""

    @property
    def loadable(self) -> bool:
        """Tell whether loading them would put something else in force."""
        return not self.problems and self.difference is not None and not self.difference.same


class Configs:
    """What a window may know of a workspace's configurations. Reads files only; the house may run or not."""

    def __init__(self, workspace: Workspace) -> None:
        """Look at a workspace."""
        self.workspace = workspace
        self._lines: dict[int, Version] = {}

    def numbers(self) -> list[int]:
        """Return the numbers there are, newest first."""
        return sorted((int(path.stem) for path in self._folder().glob("[0-9]*.json")), reverse=True)

    def log(self, limit: int, *, before: int = 0) -> list[Version]:
        """Return versions in a line each, newest first, at most `limit`, of those below the number `before`."""
        numbers = self.numbers()
        newest = numbers[0] if numbers else 0
        chosen = [n for n in numbers if not before or n < before]
        return list(self._in_lines(chosen, limit, newest))

    def version(self, number: int = 0) -> Accepted:
        """Return a version, or the one in force. Raises Misconfigured when there is none."""
        found = accepted(self.workspace, number or None)
        if found is None:
            hint = "see the numbers with `customhouse config log`" if number else "start it with `customhouse run`"
            raise Misconfigured([Problem(f"version {number or ''}".strip(), "there is no such version", hint)])
        return found

    def compare(self, before: int, after: int) -> Difference:
        """Return how two versions differ. Raises Misconfigured when one does not exist."""
        return difference(_side(self.version(before)), _side(self.version(after)))

    def running(self) -> list[Running]:
        """Return what every process works by."""
        said = [(str(kind), announcement(self.workspace, kind)) for kind in KINDS]
        return [Running(kind, one.config if one else None, one.ready_at if one else None) for kind, one in said]

    def disk(self, *, base: int = 0) -> Disk:
        """Read the files as `customhouse check` does, and compare them with a version, or with the one in force."""
        version = self.version(base)
        problems, doubts, here = _read(self.workspace)
        if here is None:
            return Disk(problems, doubts, None)
        found = difference(_side(version, as_written=True), here)
        there = texts(self.workspace)
        only = [name for name in sorted({*there, *version.files}) if there.get(name) != version.files.get(name)]
        return Disk(problems, doubts, found, only if found.same and version.files else [])

    def obstacles(self, number: int) -> list[Problem]:
        """Return why a version could not be put in force today."""
        return problems_now(self.workspace, self.version(number), {})

    def _folder(self) -> Path:
        return self.workspace.data / "config"

    def _in_lines(self, numbers: list[int], limit: int, newest: int) -> Iterator[Version]:
        """Yield lines; each needs the version before it, which is read once. What is frozen is worked out once."""
        later: Accepted | None = None
        for place, number in enumerate(numbers[:limit]):
            before = numbers[place + 1] if place + 1 < len(numbers) else 0
            if number not in self._lines:
                version = later if later is not None and later.number == number else self.version(number)
                later = self.version(before) if before else None
                self._lines[number] = _line(version, later)
            yield msgspec.structs.replace(self._lines[number], in_force=number == newest)


def shown(version: Accepted) -> dict[str, Any]:
    """Return a version as plain data that may be seen: secrets that stand in it themselves are masked, files left out."""
    plain: dict[str, Any] = msgspec.to_builtins(version)
    del plain["files"]
    plain["configuration"] = masked(version.configuration)
    return plain


def shown_as_yaml(version: Accepted) -> str:
    """Return a version's configuration as YAML that may be seen."""
    return as_yaml(masked(version.configuration))


def _line(version: Accepted, before: Accepted | None) -> Version:
    if before is None:
        changed = "the first that is kept"
    else:
        changed = summary(difference(_side(before), _side(version), text=False)) or "nothing but the form of the files"
    if version.rolled_back_to:
        changed = f"back to {version.rolled_back_to}: {changed}"
    return Version(
        number=version.number, plan_release=version.plan_release, accepted_at=version.accepted_at, changed=changed,
        rolled_back_to=version.rolled_back_to, in_force=False, files_kept=bool(version.files),
    )  # fmt: skip


def _side(version: Accepted, *, as_written: bool = False) -> Side:
    """Return a version for comparing; `as_written` without what flags and environment put above its file."""
    configuration = version.configuration
    if as_written and CONFIG_FILE in version.files:
        written, _ = parse_yaml(version.files[CONFIG_FILE], CONFIG_FILE)
        configuration = written if isinstance(written, dict) else configuration
    return Side(f"version {version.number}", configuration, version.plan.get("events", []))


def _read(workspace: Workspace) -> tuple[list[Problem], list[Problem], Side | None]:
    """Return problems and warnings of the files, as `customhouse check` tells them, and the files for comparing."""
    try:
        data, configuration, plan = read(workspace, {})
    except Misconfigured as error:
        return error.problems, [], _as_far_as_possible(workspace)
    return [], warnings(configuration), Side(ON_DISK, data, _events(plan))


def _as_far_as_possible(workspace: Workspace) -> Side | None:
    """Return files that have problems for comparing, when they can be understood that far."""
    data, _ = load_yaml(workspace.config_file)
    try:
        events = _events(load_plan(workspace.plan))
    except Misconfigured:
        return None
    return Side(ON_DISK, data, events) if isinstance(data, dict) else None


def _events(plan: Plan) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.json.decode(plan.to_snapshot())["events"]
    return found
