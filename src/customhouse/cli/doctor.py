"""`doctor` looks at the machine and the workspace and says what to mend, with the command that does; `version` says what this is."""

import os
import platform
import resource
import shutil
import socket
import sys
from importlib.metadata import version as installed

import msgspec
from msgspec import Struct
from rich.text import Text

from customhouse.app.configuration import Configuration, read, warnings
from customhouse.app.process import KINDS, announcement
from customhouse.app.workspace import Workspace, accepted
from customhouse.cli.output import FAILED, as_json, errors_in_words, out
from customhouse.cli.place import HERE, DataOption, JsonOption, WorkspaceOption, workspace
from customhouse.model.errors import Misconfigured

_FILES = 1024
_PRIVATE = 0o077
_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    verdict: str
    told: str
    mend: str = ""


def doctor(root: WorkspaceOption = HERE, data: DataOption = "", as_json_: JsonOption = False) -> None:
    """Look at disk, limits, ports, permissions, processes and configuration; exit 1 when something must be mended.

    Example: customhouse doctor --workspace examples/shop
    """
    with errors_in_words():
        place = workspace(root, data)
    findings = [_python(), _files(), *_configuration(place), _disk(place), _permissions(place), *_processes(place)]
    if as_json_:
        as_json([msgspec.to_builtins(finding) for finding in findings])
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.verdict]
            line = Text(mark, style=colour)
            line.append(f" {finding.name:14} {finding.told}", style="default")
            out.print(line)
            if finding.mend:
                out.print(Text(f"                 → {finding.mend}", style="cyan"))
    sys.exit(FAILED if any(finding.verdict == "problem" for finding in findings) else 0)


def version(as_json_: JsonOption = False) -> None:
    """Say which version this is."""
    said = {"customhouse": installed("customhouse"), "python": platform.python_version(), "system": platform.system()}
    if as_json_:
        as_json(said)
    else:
        out.print(f"customhouse {said['customhouse']} (Python {said['python']}, {said['system']})")


def _python() -> Finding:
    return Finding("python", "ok", platform.python_version())


def _files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _FILES:
        return Finding(
            "open files", "warning", f"{soft} per process: few connections at once", f"ulimit -n {_FILES * 8}"
        )
    return Finding("open files", "ok", f"{soft:,} per process")


def _configuration(place: Workspace) -> list[Finding]:
    try:
        _, configuration, plan = read(place, {})
    except Misconfigured as error:
        count = len(error.problems)
        return [
            Finding("configuration", "problem", f"{count} problem(s)", f"customhouse check --workspace {place.root}")
        ]
    doubts = [Finding("configuration", "warning", f"{d.place}: {d.message}", d.hint) for d in warnings(configuration)]
    found = [Finding("configuration", "ok", f"valid; {len(plan.events)} planned event(s)"), *doubts]
    return [*found, _port(place, configuration)]


def _port(place: Workspace, configuration: Configuration) -> Finding:
    """Tell whether the door's port is ours, free, or somebody else's."""
    host, port = configuration.listen.host, configuration.listen.port
    if running := announcement(place, "collector"):
        return Finding("door", "ok", f"open on port {running.port}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            mend = f"CUSTOMHOUSE_PORT={port + 10} customhouse run"
            return Finding("door", "problem", f"{host}:{port} cannot be used: {error.strerror}", mend)
    return Finding("door", "ok", f"{host}:{port} is free")


def _disk(place: Workspace) -> Finding:
    there = place.data if place.data.exists() else place.root
    usage = shutil.disk_usage(there)
    told = f"{usage.free / 1e9:,.1f} GB free of {usage.total / 1e9:,.1f}"
    if usage.free < 1e9:
        return Finding("disk", "problem", f"{told}: the door closes when little is left", "free space, or move `data`")
    return Finding("disk", "ok", told)


def _permissions(place: Workspace) -> Finding:
    if not place.data.exists():
        return Finding("data folder", "ok", "none yet; `customhouse run` makes it")
    if not os.access(place.data, os.W_OK):
        return Finding("data folder", "problem", "cannot be written", f"chown -R {os.getuid()} {place.data}")
    if place.data.stat().st_mode & _PRIVATE:
        return Finding("data folder", "warning", "other users of this machine can read it", f"chmod 700 {place.data}")
    return Finding("data folder", "ok", "writable, and private to its owner")


def _processes(place: Workspace) -> list[Finding]:
    """Tell which processes run, and under which configuration."""
    if accepted(place) is None:
        return [Finding("processes", "ok", "nothing has run here yet")]
    said = {kind: announcement(place, kind) for kind in KINDS}
    if not any(said.values()):
        return [Finding("processes", "ok", "not running")]
    newest = accepted(place)
    findings = []
    for kind, running in said.items():
        if running is None:
            findings.append(Finding(kind, "problem", "does not run", "see the output of `customhouse run`"))
        elif newest and running.config != newest.number and kind != "console":
            told = f"runs under configuration {running.config}, the newest is {newest.number}"
            findings.append(Finding(kind, "warning", told, "customhouse reload"))
        else:
            findings.append(Finding(kind, "ok", f"runs as process {running.pid}, configuration {running.config}"))
    return findings
