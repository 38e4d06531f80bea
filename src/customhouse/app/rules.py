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

from customhouse.app.configuration import Configuration, read
from customhouse.app.road import Rules
from customhouse.app.workspace import CONFIG_FILE, Accepted, Workspace, accept, accepted
from customhouse.model.errors import Broken, Misconfigured, Problem
from customhouse.model.frames import RECEIVED_TOPIC
from customhouse.model.outcome import Versions
from customhouse.plan.plan import Plan
from customhouse.settings import decode


def take_in(workspace: Workspace, overrides: Mapping[str, Any]) -> Accepted:
    """Check what the user wrote and give it a number. Raises Misconfigured; then the old one stays in force."""
    data, configuration, plan = read(workspace, overrides)
    before = accepted(workspace)
    _check_partitions(workspace, before, configuration)
    snapshot = plan.to_snapshot()
    plan_content = hashlib.sha256(snapshot).hexdigest()
    whole = hashlib.sha256(msgspec.json.encode(data, order="deterministic") + snapshot).hexdigest()
    if before is not None and before.content == whole:
        return before
    release = 1 if before is None else before.plan_release + (before.plan_content != plan_content)
    version = Accepted(
        number=before.number + 1 if before else 1,
        plan_release=release,
        accepted_at=time.time_ns() // 1000,
        content=whole,
        plan_content=plan_content,
        configuration=data,
        plan=msgspec.json.decode(snapshot),
    )
    accept(workspace, version)
    return version


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
