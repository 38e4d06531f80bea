"""
The whole of what a user may write in `customhouse.yaml`: each room's own words, put together.

A destination's or warehouse's `type` is the name of its file in the catalogue; what the file calls `…Config` is what
may stand under it. Reading here touches nothing but the two places the user keeps: the file and the plan folder.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from customhouse.alarms.config import AlarmsConfig
from customhouse.app.checks import check
from customhouse.app.workspace import CONFIG_FILE, Workspace
from customhouse.collector.config import LimitsConfig, ListenConfig, SourceConfig
from customhouse.console.config import ConsoleConfig
from customhouse.destinations.webhook import WebhookConfig
from customhouse.model.errors import Misconfigured, Problem
from customhouse.plan.load import load as load_plan
from customhouse.plan.plan import Plan
from customhouse.settings import decode, is_literal, load_yaml
from customhouse.stages.clock import ClockConfig
from customhouse.stages.dedupe import DedupeConfig
from customhouse.stages.routing import RouteConfig
from customhouse.stages.validation import PlanConfig
from customhouse.warehouses.lake import LakeConfig

DestinationConfig = WebhookConfig | LakeConfig


class RetentionConfig(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How long the logs keep what everybody has dealt with. What somebody has yet to read is never removed by age."""

    received_days: Annotated[int, Meta(ge=1, le=365, description="Days the received log is kept.")] = 7
    owed_days: Annotated[
        int, Meta(ge=1, le=365, description="Days the owed log is kept; at least the dedupe window and a day.")
    ] = 8
    receipts_days: Annotated[int, Meta(ge=1, le=365, description="Days the receipts log is kept.")] = 8
    log_bytes: Annotated[
        int, Meta(ge=64 * 1024 * 1024, description="The most bytes one partition of one log may keep.")
    ] = 64 * 1024 * 1024 * 1024


class Configuration(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Everything in `customhouse.yaml`."""

    format: Annotated[Literal[1], Meta(description="Format of this file.")] = 1
    name: Annotated[str, Meta(min_length=1, max_length=100, description="What this workspace is called.")]
    data: Annotated[
        str, Meta(min_length=1, description="Folder of everything that is kept, relative to this file.")
    ] = ".data"
    partitions: Annotated[
        int, Meta(ge=1, le=64, description="Partitions of the log. Fixed once events have been received.")
    ] = 1
    listen: Annotated[ListenConfig, Meta(description="Where the door listens.")] = field(default_factory=ListenConfig)
    console: Annotated[ConsoleConfig, Meta(description="Where the console listens.")] = field(
        default_factory=ConsoleConfig
    )
    limits: Annotated[LimitsConfig, Meta(description="How much the door takes.")] = field(default_factory=LimitsConfig)
    sources: Annotated[
        dict[str, SourceConfig], Meta(min_length=1, description="Who may send: one entry per application, by name.")
    ]
    destinations: Annotated[
        dict[str, DestinationConfig], Meta(description="Where events go, by name; `type` names the kind.")
    ] = {}
    routes: Annotated[
        list[RouteConfig], Meta(description="Which destination gets which events; one without a route gets none.")
    ] = []
    plan: Annotated[PlanConfig, Meta(description="What happens to events the plan does not know or allow.")] = field(
        default_factory=PlanConfig
    )
    dedupe: Annotated[DedupeConfig, Meta(description="How duplicates are found.")] = field(default_factory=DedupeConfig)
    clock: Annotated[ClockConfig, Meta(description="How client clocks are corrected.")] = field(
        default_factory=ClockConfig
    )
    retention: Annotated[RetentionConfig, Meta(description="How long logs are kept.")] = field(
        default_factory=RetentionConfig
    )
    alarms: Annotated[AlarmsConfig, Meta(description="When the house calls for somebody, and where.")] = field(
        default_factory=AlarmsConfig
    )


def read(workspace: Workspace, overrides: Mapping[str, Any]) -> tuple[dict[str, Any], Configuration, Plan]:
    """
    Read configuration and plan. `overrides` (dotted path to value) stand above the file: flags and environment.

    Returns the plain data as well, to be frozen with its number. Raises Misconfigured with every problem of both.
    """
    data, found = load_yaml(workspace.config_file)
    configuration: Configuration | None = None
    if isinstance(data, dict):
        lay_over(data, overrides)
        configuration, more = decode(Configuration, data, CONFIG_FILE)
        found = [*found, *more, *check(data, workspace.root)]
    plan: Plan | None = None
    try:
        plan = load_plan(workspace.plan)
    except Misconfigured as error:
        found = [*found, *error.problems]
    if found or configuration is None or plan is None:
        raise Misconfigured(
            found or [Problem(CONFIG_FILE, "the file holds no configuration", "see `customhouse init`")]
        )
    return data, configuration, plan


def lay_over(data: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Put overrides (dotted path to value) above what a file says, in place."""
    for path, value in overrides.items():
        _put(data, path.split("."), value)


def warnings(configuration: Configuration) -> list[Problem]:
    """Return what is allowed and probably not meant."""
    routed = {name for rule in configuration.routes for name in ([rule.to] if isinstance(rule.to, str) else rule.to)}
    hint = f"add `- to: <name>` under routes in {CONFIG_FILE}"
    found = [
        Problem(f"{CONFIG_FILE}: destinations.{name}", "no route leads here, so it gets nothing", hint)
        for name in configuration.destinations
        if name not in routed
    ]
    if configuration.listen.prefixes and not configuration.listen.trusted_proxies:
        place = f"{CONFIG_FILE}: listen.trusted_proxies"
        message = "no proxy is trusted, so answers name `http` and every client has the address of the proxy in front"
        found.append(Problem(place, message, 'name the proxy, such as ["127.0.0.1/32"]; see docs/recipes'))
    hint = "write `env:NAME` or `file:PATH` instead, and keep the secret out of version control"
    literal = [
        f"sources.{name}.write_key" for name, each in configuration.sources.items() if is_literal(each.write_key)
    ]
    for field_, reference in (("password", configuration.console.password), ("token", configuration.console.token)):
        if reference and is_literal(reference):
            literal.append(f"console.{field_}")
    for name, config in configuration.destinations.items():
        if isinstance(config, WebhookConfig):
            fields = {"secret": config.secret, "write_key": config.write_key}
            literal += [f"destinations.{name}.{field}" for field, text in fields.items() if text and is_literal(text)]
    return found + [Problem(f"{CONFIG_FILE}: {place}", "the secret itself stands here", hint) for place in literal]


def _put(data: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a value at a path, making the mappings on the way."""
    for step in path[:-1]:
        below = data.setdefault(step, {})
        if not isinstance(below, dict):
            return  # decoding reports what stands here instead
        data = below
    data[path[-1]] = value
