"""
Posting notices: signed JSON to the configured address, in order, tried again until it is taken; never in anybody's way.

What waits is bounded; the oldest gives way, because the newest says how things stand. The address may hold a secret, so
only the kind of answer is ever told.
"""

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, structs

from customhouse.alarms.config import AlarmWebhookConfig, address_problems
from customhouse.alarms.notice import Notice, body
from customhouse.app.windows.alarms.kept import PostState
from customhouse.delivery.retry import backoff
from customhouse.delivery.retry.verdicts import Failure
from customhouse.destinations.webhook import sign
from customhouse.model.contracts import Parcel
from customhouse.model.errors import Misconfigured
from customhouse.model.http import Response
from customhouse.settings import resolve
from customhouse.telemetry.tracing import child

if TYPE_CHECKING:
    from customhouse.delivery.sender import HttpSender  # heavy, and every command knows this module

MOST_WAITING = 100
_BASE = 1.0
_CAP = 60.0
"""Seconds between two tries at most: who mends the webhook should not have to wait for long."""
_PLACE = "customhouse.yaml: alarms.webhook"


class Target(Struct, frozen=True):
    """Where notices go: the workspace's name and root, and the webhook, None when there is none."""

    house: str
    root: Path
    webhook: AlarmWebhookConfig | None


class Outcome(Struct, frozen=True):
    """What one post came to."""

    ok: bool
    told: str


class Post:
    """Notices on their way to the webhook. All methods are called in one event loop."""

    def __init__(self, waiting: Iterable[Notice], state: PostState, changed: Callable[[], None]) -> None:
        """Go on with what waits; `changed` is called after every try."""
        self.waiting = deque(waiting, MOST_WAITING)
        self.state = state
        self._changed = changed
        self._target: Target | None = None
        self._wake = asyncio.Event()

    def aim(self, target: Target) -> None:
        """Post there from now on, and at once: who changed the configuration may have mended it."""
        self._target = target
        self.state = structs.replace(self.state, configured=target.webhook is not None)
        if target.webhook is None:
            self.waiting.clear()
            self.state = structs.replace(self.state, failures=0, told="")
        self._wake.set()

    def put(self, notices: Iterable[Notice]) -> None:
        """Take notices on the way. What the webhook itself suffers from is not told through it."""
        if self._target is None or self._target.webhook is None:
            return
        for notice in notices:
            if notice.alarm != "webhook_failing":
                full = len(self.waiting) == MOST_WAITING
                self.state = structs.replace(self.state, dropped=self.state.dropped + full)
                self.waiting.append(notice)
        self._wake.set()

    async def run(self) -> None:
        """Post until cancelled."""
        from customhouse.delivery.sender import HttpSender

        async with HttpSender(version("customhouse"), _trace) as sender:
            while True:
                self._wake.clear()
                rest = await self._next(sender)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), rest)

    async def _next(self, sender: "HttpSender") -> float | None:
        """Try the oldest notice; return the seconds to wait, None when there is nothing to do."""
        target = self._target
        if not self.waiting or target is None or target.webhook is None:
            return None
        notice = self.waiting[0]
        outcome = await send(sender, target, target.webhook, notice)
        failures = 0 if outcome.ok else self.state.failures + 1
        self.state = structs.replace(self.state, failures=failures, told=outcome.told, told_at=time.time())
        if outcome.ok and self.waiting and self.waiting[0] is notice:
            self.waiting.popleft()
        self._changed()
        if outcome.ok:
            return 0.0
        return backoff.delay(failures, 0.5 + random.random() / 2, base=_BASE, cap=_CAP)  # noqa: S311 - jitter, no secret


async def send(sender: "HttpSender", target: Target, webhook: AlarmWebhookConfig, notice: Notice) -> Outcome:
    """Post one notice and say what it came to. Never raises for what the other side or the configuration does."""
    from customhouse.delivery.sender import Patience

    try:
        url = resolve(webhook.url, target.root, f"{_PLACE}.url").reveal()
        secret = resolve(webhook.secret, target.root, f"{_PLACE}.secret") if webhook.secret else None
    except Misconfigured as error:
        return Outcome(ok=False, told="; ".join(f"{each.place}: {each.message}" for each in error.problems))
    if problem := next(address_problems(url, f"{_PLACE}.url"), None):
        return Outcome(ok=False, told=f"{problem.place}: {problem.message}")
    content = msgspec.json.encode(body(notice, target.house))
    headers = [("content-type", "application/json"), ("idempotency-key", notice.key)]
    if secret:
        headers.append(("x-customhouse-signature", sign(secret, content, int(time.time()))))
    patience = Patience(webhook.timeout_seconds, webhook.timeout_seconds)
    answer = await sender.send(Parcel((), "POST", url, tuple(headers), content), patience, "")
    return _weigh(answer)


async def try_webhook(target: Target, webhook: AlarmWebhookConfig) -> Outcome:
    """Send one test notice now, and say what it came to."""
    from customhouse.delivery.sender import HttpSender

    now = time.time()
    notice = Notice(
        what="test", alarm="test", subject="webhook", severity="warning", since=now, at=now,
        told="this is a test of the alarm webhook; nothing is wrong.", mend="nothing to do",
    )  # fmt: skip
    async with HttpSender(version("customhouse"), _trace) as sender:
        return await send(sender, target, webhook, notice)


def _weigh(answer: Response | Failure) -> Outcome:
    if isinstance(answer, Failure):
        words = "did not answer" if answer.reason == "timeout" else "cannot be reached"
        return Outcome(ok=False, told=f"it {words} ({answer.detail})")
    if 200 <= answer.status < 300:
        return Outcome(ok=True, told=f"it answered {answer.status}")
    more = " and leads elsewhere, which is not followed" if 300 <= answer.status < 400 else ""
    return Outcome(ok=False, told=f"it answered {answer.status}{more}")


def _trace(parent: str) -> str:
    return child(parent, secrets.token_bytes(8))
