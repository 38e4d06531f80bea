"""An inspection of machine and house: everything that is looked at, with the command that mends what is not well."""

from customhouse.app.windows.inspection.disk import disk
from customhouse.app.windows.inspection.finding import Finding
from customhouse.app.windows.inspection.house import house
from customhouse.app.windows.inspection.machine import machine
from customhouse.app.windows.inspection.permissions import permissions
from customhouse.app.windows.inspection.ports import ports
from customhouse.app.windows.inspection.reachable import reachable
from customhouse.app.windows.inspection.smells import smells
from customhouse.app.windows.inspection.written import written
from customhouse.app.workspace import Workspace
from customhouse.collector.config import LimitsConfig

__all__ = ["Finding", "inspect"]


def inspect(place: Workspace, *, offline: bool = False) -> list[Finding]:
    """Look at everything, in the order in which one thing rests on another. `offline` knocks at no destination."""
    found, configuration, plan = written(place)
    limits = configuration.limits if configuration else LimitsConfig()
    findings = [*machine(place), *disk(place, limits.free_disk_bytes), *permissions(place, configuration), *found]
    if configuration is not None and plan is not None:
        findings += smells(configuration, plan)
        findings += ports(place, configuration)
        findings += [] if offline else reachable(place, configuration)
    return [*findings, *house(place, configuration)]
