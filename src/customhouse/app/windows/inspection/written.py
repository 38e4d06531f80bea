"""What the user has written against what is in force: can it be read, and has it been put in force?"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from customhouse.app.configuration import Configuration, read
from customhouse.app.windows.inspection.finding import Finding, ok, problem, warning
from customhouse.app.workspace import Workspace, accepted
from customhouse.model.errors import Misconfigured
from customhouse.plan.plan import Plan

_BY_FLAG = (("listen", "host"), ("listen", "port"), ("console", "port"))
"""What flags and environment may have put above the file when it was accepted."""


def written(place: Workspace) -> tuple[list[Finding], Configuration | None, Plan | None]:
    """Return what there is to say, and configuration and plan as written; None when they cannot be read."""
    try:
        data, configuration, plan = read(place, {})
    except Misconfigured as error:
        count = len(error.problems)
        told = f"{count} problem{'' if count == 1 else 's'} in configuration or plan"
        return [problem("configuration", told, f"customhouse check --workspace {place.root}")], None, None
    count = len(plan.events)
    found = [ok("configuration", f"valid; {count} planned event{'' if count == 1 else 's'}")]
    return [*found, *_in_force(place, data, plan)], configuration, plan


def _in_force(place: Workspace, data: dict[str, Any], plan: Plan) -> Iterator[Finding]:
    newest = accepted(place)
    if newest is None:
        return
    same = _plain(data) == _plain(newest.configuration)
    same_plan = msgspec.json.decode(plan.to_snapshot()) == newest.plan
    if same and same_plan:
        yield ok("in force", f"what is written is configuration {newest.number}, plan release {newest.plan_release}")
        return
    what = " and ".join(
        name for name, equal in (("the configuration", same), ("the plan", same_plan)) if not equal
    )  # fmt: skip
    told = f"{what} has changed since configuration {newest.number} was accepted"
    yield warning("in force", told, "customhouse reload")


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without what flags may have set."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(data))
    for section, key in _BY_FLAG:
        inside = plain.get(section)
        if isinstance(inside, dict):
            inside.pop(key, None)
            if not inside:
                del plain[section]
    return plain
