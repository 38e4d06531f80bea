"""
The watch: looks at the house every few seconds, judges, keeps what it found, and has it told.

It runs in the console, which looks at everything anyway and is on nobody's path. Looking happens in the console's
reading thread; a look that fails is itself something to be told.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from msgspec import Struct, structs

from customhouse.alarms.board import Alarm
from customhouse.alarms.config import AlarmsConfig
from customhouse.alarms.notice import Notice
from customhouse.alarms.reading import Reading
from customhouse.app.configuration import Configuration
from customhouse.app.process import Process
from customhouse.app.windows.alarms.gather import gather
from customhouse.app.windows.alarms.kept import Kept, keep, kept
from customhouse.app.windows.alarms.post import Post, Target
from customhouse.app.windows.window import Seen
from customhouse.app.workspace import CONFIG_FILE, accepted
from customhouse.model.errors import Broken, CustomhouseError
from customhouse.settings import decode

_TONES = {"critical": "bad", "warning": "wait"}
_GAUGE = "customhouse_alarm"

See = Callable[[], Awaitable[Seen]]


class StripLine(Struct, frozen=True):
    """One alarm as it stands above every page."""

    words: str
    tone: str


class AlarmWatch:
    """The watch of one house. All methods are called in the console's event loop."""

    def __init__(self, process: Process, see: See) -> None:
        """Go on from what was kept; `see` reads the house."""
        self._process = process
        self._see = see
        self._state: Kept = kept(process.workspace)
        self._post = Post(self._state.waiting, self._state.post, self._keep)
        self._number = 0
        self._configuration: Configuration | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        posting = asyncio.create_task(self._post.run(), name="alarm post")
        try:
            while True:
                rest = await self._safely()
                await asyncio.sleep(rest)
        finally:
            posting.cancel()
            with suppress(asyncio.CancelledError):
                await posting

    def standing(self) -> list[Alarm]:
        """Return the alarms that stand."""
        return self._state.board.standing()

    def state(self) -> Kept:
        """Return the newest state: the board, what waits, how the webhook fares."""
        return self._state

    def enabled(self) -> bool:
        """Tell whether anything is watched at all."""
        return self._configuration is None or self._configuration.alarms.enabled

    def strip(self) -> Sequence[StripLine]:
        """Return what stands above every page."""
        return [StripLine(alarm.told, _TONES[alarm.severity]) for alarm in self.standing()]

    async def _safely(self) -> float:
        """Look once, whatever comes of it: a watch that ends because of a mistake would say that all is well."""
        try:
            return await self._round()
        except Exception as error:  # noqa: BLE001  # told in the log with its place; the next look may succeed
            self._process.logger.failed("alarms.failed", error)
            return self._state.every_seconds

    async def _round(self) -> float:
        """Look once; return the seconds to the next look."""
        try:
            config = self._config()
        except (CustomhouseError, OSError) as error:
            self._process.logger.warning("alarms.no_configuration", reason=type(error).__name__)
            return self._state.every_seconds
        self._state.every_seconds = config.every_seconds
        if not config.enabled:
            self._forget()
        else:
            self._judge(await self._reading(), config)
        self._state.at = time.time()
        self._keep()
        return config.every_seconds

    async def _reading(self) -> Reading:
        """Look at the house; what cannot be seen is said."""
        workspace, configuration = self._process.workspace, self._configuration
        try:
            if configuration is None:
                raise Broken("there is no configuration")
            found = gather(workspace, configuration, await self._see())
        except CustomhouseError as error:
            found = Reading(at=time.time(), blind=str(error))
        except OSError as error:
            found = Reading(at=time.time(), blind=error.strerror or type(error).__name__)
        post = self._post.state
        return structs.replace(found, webhook_failures=post.failures, webhook_told=post.told)

    def _judge(self, reading: Reading, config: AlarmsConfig) -> None:
        """Bring the board up to date, and tell: in the log, in the metrics, and to the webhook."""
        board = self._state.board
        notices = board.judge(reading, config)
        for notice in notices:
            self._log(notice)
            gauge = self._process.meter.gauge(_GAUGE, alarm=notice.alarm, subject=notice.subject)
            gauge.set(int(notice.what != "cleared"))
        for alarm in board.standing():  # also those that stood before this process began
            self._process.meter.gauge(_GAUGE, alarm=alarm.name, subject=alarm.subject).set(1)
        self._post.put(notices)

    def _forget(self) -> None:
        """Let go of everything that stands: somebody has switched the alarms off."""
        for alarm in self._state.board.standing():
            self._process.meter.gauge(_GAUGE, alarm=alarm.name, subject=alarm.subject).set(0)
        self._state.board.alarms.clear()

    def _log(self, notice: Notice) -> None:
        log = self._process.logger.info if notice.what == "cleared" else self._process.logger.warning
        log(f"alarm.{notice.what}", alarm=notice.alarm, subject=notice.subject, severity=notice.severity)

    def _config(self) -> AlarmsConfig:
        """Return what holds now; a new configuration is taken in by itself. Raises CustomhouseError, OSError."""
        workspace = self._process.workspace
        version = accepted(workspace)
        if version is None:
            raise Broken(f"{workspace.data} holds no accepted configuration; `customhouse run` makes one")
        if self._configuration is None or version.number != self._number:
            configuration, _ = decode(Configuration, version.configuration, CONFIG_FILE)
            if configuration is None:
                raise Broken(f"configuration {version.number} cannot be read; `customhouse doctor` tells more")
            self._number, self._configuration = version.number, configuration
            self._post.aim(Target(configuration.name, workspace.root, configuration.alarms.webhook))
        return self._configuration.alarms

    def _keep(self) -> None:
        """Keep the state where the next process and other windows find it."""
        self._state.waiting, self._state.post = list(self._post.waiting), self._post.state
        with self._process.chore("alarms"):
            keep(self._process.workspace, self._state)
