"""What the console's page Configuration shows and does, from the configurations as windows know them."""

import msgspec

from customhouse.app.upkeep.rollback import looked_at
from customhouse.app.windows.configs import ON_DISK, Configs, Version, shown_as_yaml
from customhouse.app.windows.differences import Difference
from customhouse.app.workspace import Workspace
from customhouse.console.pages.configuration import (
    ChangeLine,
    Compared,
    Fault,
    Loaded,
    Shown,
    Standing,
    VersionLine,
    WorksBy,
)
from customhouse.model.errors import Misconfigured, Problem, Unavailable
from customhouse.state.jobs import Jobs

_LOAD_SECONDS = 15.0
_AT_START = frozenset({"console"})
"""Processes that keep the settings they started with."""


class ConfigurationOf:
    """A workspace's configurations for the console. Opens files anew at each call, so any thread may ask."""

    def __init__(self, workspace: Workspace) -> None:
        """Look at a workspace."""
        self._workspace = workspace
        self._configs = Configs(workspace)

    def standing(self) -> Standing:
        """Return what runs, and how the files on disk stand to it. Raises Unavailable when nothing ever ran."""
        lines = self._configs.log(1)
        if not lines:
            raise Unavailable("no configuration has been accepted yet")
        seen = looked_at(self._workspace)
        disk = self._configs.disk()
        return Standing(
            in_force=_line(lines[0]),
            processes=[
                WorksBy(each.kind, each.config, _us(each.ready_at), each.kind in _AT_START)
                for each in self._configs.running()
            ],
            problems=[_fault(each) for each in disk.problems],
            warnings=[_fault(each) for each in disk.warnings],
            disk=_compared(disk.difference) if disk.difference is not None else None,
            only_text=disk.only_text,
            loadable=disk.loadable,
            seen=seen,
        )

    def versions(self, limit: int, before: int) -> list[VersionLine]:
        """Return versions, newest first."""
        return [_line(each) for each in self._configs.log(limit, before=before)]

    def version(self, number: int) -> Shown | None:
        """Return one version; None when there is none of that number."""
        lines = [each for each in self._configs.log(1, before=number + 1) if each.number == number]
        if not lines:
            return None
        version = self._configs.version(number)
        events = version.plan.get("events", [])
        named = [f"{e.get('type', 'track')} {e.get('event', '')}".strip() + f" {e.get('version', '')}" for e in events]
        return Shown(_line(lines[0]), shown_as_yaml(version), named)

    def compare(self, before: int, after: int) -> Compared | None:
        """Return how two versions differ, or one and the files on disk."""
        try:
            found = self._configs.compare(before, after) if after else self._configs.disk(base=before).difference
        except Misconfigured:
            return None
        return _compared(found) if found is not None else Compared(f"version {before}", ON_DISK, [], [])

    def load(self, seen: str) -> Loaded:
        """Ask the supervisor to put the files in force, if they are still those that were seen."""
        if seen != looked_at(self._workspace):
            return Loaded(ok=False, number=0, message="the files were changed since this page was made; look again")
        answer = Jobs(self._workspace.jobs("supervisor")).ask("reload", {}, timeout=_LOAD_SECONDS, asked_by="console")
        problems = [Fault(**each) for each in answer.details.get("problems", [])]
        return Loaded(answer.ok, answer.details.get("config", 0), answer.message, problems)


def _line(version: Version) -> VersionLine:
    return VersionLine(
        version.number, version.plan_release, version.accepted_at, version.changed, in_force=version.in_force
    )


def _compared(found: Difference) -> Compared:
    changes = [
        ChangeLine(
            each.kind,
            ": ".join(part for part in ("plan" if each.event else "", each.event, each.place) if part),
            msgspec.to_builtins(each.before),
            msgspec.to_builtins(each.after),
        )
        for each in found.changes
    ]
    return Compared(found.before, found.after, changes, found.text)


def _fault(problem: Problem) -> Fault:
    return Fault(problem.place, problem.message, problem.hint)


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)
