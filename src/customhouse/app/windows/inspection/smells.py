"""What is allowed in a configuration and probably not meant, beyond what `check` warns of."""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from customhouse.app.configuration import Configuration, warnings
from customhouse.app.windows.inspection.finding import Finding, warning
from customhouse.app.workspace import CONFIG_FILE
from customhouse.destinations.webhook import WebhookConfig
from customhouse.plan.plan import Plan
from customhouse.warehouses.lake import LakeConfig

_NAMED = 3
"""How many names are told before the rest is a number."""


def smells(configuration: Configuration, plan: Plan) -> Iterator[Finding]:
    """Yield what somebody should look at in configuration and plan."""
    for doubt in warnings(configuration):
        yield warning("configuration", f"{doubt.place}: {doubt.message}", doubt.hint)
    yield from _door(configuration)
    yield from _destinations(configuration)
    yield from _plan(configuration, plan)
    yield from _retention(configuration)
    yield from _alarms(configuration)


def _door(configuration: Configuration) -> Iterator[Finding]:
    listen = configuration.listen
    if not _local(listen.host) and not listen.trusted_proxies:
        told = (
            f"the door listens on {listen.host} and trusts no proxy: behind one, every client has the proxy's address"
        )
        mend = f"name the proxy in {CONFIG_FILE}: listen: {{trusted_proxies: [10.0.0.0/8]}}; without one, leave it"
        yield warning("door", told, mend)
    off = [name for name, source in configuration.sources.items() if not source.enabled]
    if off and len(off) == len(configuration.sources):
        told = "every source is switched off, so every event is refused"
        yield warning("sources", told, f"set `enabled: true` for one of them in {CONFIG_FILE}")


def _destinations(configuration: Configuration) -> Iterator[Finding]:
    found = configuration.destinations
    if not any(isinstance(config, LakeConfig) for config in found.values()):
        mend = f"add to {CONFIG_FILE}: destinations: {{lake: {{type: lake}}}} and a route to it"
        yield warning("destinations", "there is no lake: `sql` has nothing to ask, and events are kept nowhere", mend)
    for name, config in found.items():
        if isinstance(config, WebhookConfig) and _in_the_clear(config.url):
            told = f"{name} gets events, and its keys, over http: anybody on the way can read them"
            yield warning("destinations", told, f"use https in {CONFIG_FILE}: destinations.{name}.url")
    closed = {
        name
        for name, config in found.items()
        if isinstance(config, WebhookConfig) and config.on_overflow == "expire" and not (config.backlog_hours or config.backlog_events)
    }  # fmt: skip
    for name in sorted(closed):
        told = f"{name} lets events expire beyond its budget, and has no budget"
        yield warning(
            "destinations", told, f"set backlog_hours or backlog_events in {CONFIG_FILE}: destinations.{name}"
        )


def _plan(configuration: Configuration, plan: Plan) -> Iterator[Finding]:
    policy = configuration.plan
    if not plan.events:
        if policy.unknown_events == "quarantine":
            told = "the plan knows no event, and unknown events go to quarantine: every track call is held back"
            yield warning("plan", told, "add a file per event under plan/, or set plan.unknown_events to annotate")
        return
    loose = [each.event or each.type for each in plan.events if not each.required and not each.requires]
    if loose:
        names = ", ".join(loose[:_NAMED]) + (f" and {len(loose) - _NAMED} more" if len(loose) > _NAMED else "")
        told = f"{len(loose)} of {len(plan.events)} planned events require nothing: {names}"
        yield warning("plan", told, "name what must be there: `required:` for properties, `requires:` for identifiers")


def _retention(configuration: Configuration) -> Iterator[Finding]:
    kept, window = configuration.retention, configuration.dedupe.window_days
    if kept.received_days < window:
        told = (
            f"events as they were received are kept {kept.received_days} days, and duplicates are looked for over {window}: "
            "the client's own bytes of a duplicate's first copy may be gone"
        )
        yield warning("retention", told, f"set retention.received_days to {window} or more in {CONFIG_FILE}")


def _alarms(configuration: Configuration) -> Iterator[Finding]:
    if not configuration.alarms.enabled:
        yield warning("alarms", "they are switched off", f"set alarms.enabled to true in {CONFIG_FILE}")
    elif configuration.alarms.webhook is None:
        told = "they are posted nowhere: nobody hears of trouble who does not look"
        yield warning("alarms", told, f"add to {CONFIG_FILE}: alarms: {{webhook: {{url: 'env:ALARM_URL'}}}}")


def _local(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _in_the_clear(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not _local(parts.hostname or "")
