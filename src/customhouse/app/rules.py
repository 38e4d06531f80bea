"""
From what the user wrote to what runs: a configuration is checked whole, frozen under a number, and only then used.

`run` and `reload` accept; the processes load the newest accepted one. A new number is given only when something
changed, and a new plan release only when the plan did.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from customhouse.app.checks import check
from customhouse.app.configuration import Configuration, lay_over, read
from customhouse.app.road import Rules
from customhouse.app.upkeep.written import Returning, finish, forget, texts, texts_of
from customhouse.app.workspace import CONFIG_FILE, Accepted, Workspace, accept, accepted
from customhouse.model.errors import Broken, Misconfigured, Problem
from customhouse.model.frames import RECEIVED_TOPIC
from customhouse.model.outcome import Versions
from customhouse.plan.plan import Plan
from customhouse.settings import decode
from customhouse.settings.load import parse_yaml

_ATTEMPTS = 3


def take_in(workspace: Workspace, overrides: Mapping[str, Any]) -> Accepted:
    """
    Check what the user wrote and give it a number. Raises Misconfigured; then the old one stays in force.

    A rollback that was cut short is finished first.
    """
    note = finish(workspace)
    files, (data, configuration, plan) = _read(workspace, overrides)
    before = accepted(workspace)
    _check_partitions(workspace, before, configuration)
    snapshot = plan.to_snapshot()
    plan_content = hashlib.sha256(snapshot).hexdigest()
    whole = hashlib.sha256(msgspec.json.encode(data, order="deterministic") + snapshot).hexdigest()
    if before is not None and before.content == whole:
        version = _with_texts(workspace, before, files)
    else:
        release = 1 if before is None else before.plan_release + (before.plan_content != plan_content)
        version = Accepted(
            number=before.number + 1 if before else 1,
            plan_release=release,
            accepted_at=time.time_ns() // 1000,
            content=whole,
            plan_content=plan_content,
            configuration=data,
            plan=msgspec.json.decode(snapshot),
            files=files,
            rolled_back_to=_brought_back(workspace, note, files),
        )
        accept(workspace, version)
    if note is not None:
        forget(workspace)
    return version


def problems_now(workspace: Workspace, version: Accepted, overrides: Mapping[str, Any]) -> list[Problem]:
    """Return why a version could not be put in force today, although it once was; empty when it could."""
    written, found = parse_yaml(texts_of(version)[CONFIG_FILE], CONFIG_FILE)
    if not isinstance(written, dict):
        return found or [Problem(CONFIG_FILE, "the version holds no configuration", "choose another version")]
    lay_over(written, overrides)
    configuration, wrong = decode(Configuration, written, CONFIG_FILE)
    found = [*found, *wrong, *check(written, workspace.root)]
    before = accepted(workspace)
    if before is not None and before.configuration.get("data") != version.configuration.get("data"):
        hint = "close the house, move the folder and write its place into the file by hand"
        found.append(Problem(f"{CONFIG_FILE}: data", "the version kept its data in another folder", hint))
    try:
        Plan.from_snapshot(msgspec.json.encode(version.plan))
        if configuration is not None:
            _check_partitions(workspace, before, configuration)
    except Broken as error:
        found.append(Problem("plan/", str(error), "choose another version"))
    except Misconfigured as error:
        found += error.problems
    return found


def newest(workspace: Workspace) -> Rules:
    """Return the rules of the newest accepted configuration. Raises Broken when there is none that can be read."""
    version = accepted(workspace)
    if version is None:
        raise Broken(f"{workspace.data} holds no accepted configuration; `customhouse run` makes one")
    configuration, problems = decode(Configuration, version.configuration, CONFIG_FILE)
    if configuration is None:
        raise Misconfigured(problems)
    plan = Plan.from_snapshot(msgspec.json.encode(version.plan))
    return Rules(configuration, plan, Versions(config=version.number, plan=version.plan_release))


def _check_partitions(workspace: Workspace, before: Accepted | None, configuration: Configuration) -> None:
    """Refuse another number of partitions once there are events: order per key and the index of ids rest on it."""
    folder = workspace.log / RECEIVED_TOPIC
    if before is None or not folder.exists() or not any(folder.iterdir()):
        return
    there = int(before.configuration.get("partitions", 1))
    if there != configuration.partitions:
        message = f"the log was begun with {there}; {configuration.partitions} would lose the order per person"
        raise Misconfigured([Problem(f"{CONFIG_FILE}: partitions", message, f"set it to {there}")])


def _read(
    workspace: Workspace, overrides: Mapping[str, Any]
) -> tuple[dict[str, str], tuple[dict[str, Any], Configuration, Plan]]:
    """Read the files as text and for their meaning; once more when somebody saved one in between."""
    for _ in range(_ATTEMPTS):
        files = texts(workspace)
        meaning = read(workspace, overrides)
        if files == texts(workspace):
            return files, meaning
    hint = "reload when they are saved"
    raise Misconfigured([Problem(f"{CONFIG_FILE}, plan/", "the files change while they are read", hint)])


def _with_texts(workspace: Workspace, version: Accepted, files: dict[str, str]) -> Accepted:
    """Keep the newest text of a version: other comments or another order make no other configuration."""
    if version.files == files:
        return version
    version = replace(version, files=files)
    accept(workspace, version)
    return version


def _brought_back(workspace: Workspace, note: Returning | None, files: dict[str, str]) -> int:
    """Return the version a rollback put back, unless somebody has written something else since."""
    version = accepted(workspace, note.to) if note is not None else None
    return version.number if version is not None and texts_of(version) == files else 0
