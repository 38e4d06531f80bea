"""
What users may write about alarms: when one is raised, when it is told again, and where it is told.

The defaults are meant to be right for most houses: an alarm nobody needs is worse than none, because it teaches people
to look away.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from customhouse.model.errors import Misconfigured, Problem
from customhouse.settings import SecretRef, resolve

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


class AlarmWebhookConfig(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Where alarms are posted, as JSON with a `text` that chat services show."""

    url: Annotated[
        SecretRef,
        Meta(
            description="Address to post to, http or https. Chat services put a secret into it: use `env:` or `file:`."
        ),
    ]
    secret: Annotated[
        SecretRef | None,
        Meta(description="Signs each body (HMAC-SHA256) in `X-Customhouse-Signature`. As `env:NAME` or `file:PATH`."),
    ] = None
    timeout_seconds: Annotated[Positive, Meta(le=60, description="How long one post may take, answer included.")] = 10.0


class AlarmsConfig(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """When the house calls for somebody. Alarms show in console, command line and metrics with or without a webhook."""

    enabled: Annotated[bool, Meta(description="False watches nothing and raises nothing.")] = True
    webhook: Annotated[AlarmWebhookConfig | None, Meta(description="Where alarms are told besides the console.")] = None
    every_seconds: Annotated[float, Meta(ge=0.2, le=60, description="How often the house is looked at.")] = 5.0
    quiet_minutes: Annotated[
        Positive, Meta(description="How long an alarm that stands is not told again. Its beginning and end always are.")
    ] = 60.0
    clear_seconds: Annotated[
        float,
        Meta(ge=0, description="How long all must be well before an alarm ends; doubled when it soon comes back."),
    ] = 15.0
    late_minutes: Annotated[
        Positive, Meta(description="A destination's oldest undelivered event may wait so long.")
    ] = 60.0
    backlog_share: Annotated[
        Share, Meta(description="How much of its `backlog_events` or `backlog_hours` a destination may use up.")
    ] = 0.8
    quarantine_minutes: Annotated[
        Positive, Meta(le=60, description="Time over which quarantined events are counted.")
    ] = 5.0
    quarantine_events: Annotated[Count, Meta(description="So many in that time are a burst, if the share agrees.")] = 50
    quarantine_share: Annotated[
        Share, Meta(description="So large a share of the events of that time is a burst, if the number agrees.")
    ] = 0.05
    refusal_minutes: Annotated[
        Positive, Meta(le=60, description="Time over which the door's 503 answers are counted.")
    ] = 1.0
    refusals: Annotated[Count, Meta(description="So many 503 answers in that time raise an alarm.")] = 10
    restart_minutes: Annotated[
        Positive, Meta(le=60, description="Time over which restarts of a process are counted.")
    ] = 10.0
    restarts: Annotated[Count, Meta(description="So many restarts of one process in that time raise an alarm.")] = 3
    missing_seconds: Annotated[Positive, Meta(description="A process may be away so long, as during a restart.")] = 30.0

    @property
    def longest_seconds(self) -> float:
        """The longest time anything is counted over."""
        return 60 * max(self.quarantine_minutes, self.refusal_minutes, self.restart_minutes)


def problems(config: AlarmsConfig, root: Path, place: str) -> Iterator[Problem]:
    """Yield what would keep the webhook from working, without touching the network."""
    webhook = config.webhook
    if webhook is None:
        return
    for name, reference in (("url", webhook.url), ("secret", webhook.secret)):
        try:
            text = resolve(reference, root, f"{place}.webhook.{name}").reveal() if reference else ""
        except Misconfigured as error:
            yield from error.problems
            continue
        if name == "url":
            yield from address_problems(text, f"{place}.webhook.url")


def address_problems(url: str, place: str) -> Iterator[Problem]:
    """Yield what is wrong with a webhook's address, without repeating it: it may hold a secret."""
    try:
        parts = urlsplit(url)
        ok = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        ok = False
    if not ok:
        yield Problem(place, "is not an http or https address", "such as https://hooks.example.com/alarms")
