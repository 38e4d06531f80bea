"""
The supervisor: starts the four kinds of process, watches them, starts them again, passes signals on. Never on the data's path.

It alone accepts configurations: at start, on SIGHUP and on `customhouse reload`. A bad one is refused and the old one
stays in force. On SIGTERM the house closes in the order of the road: first the door, then what lies behind it.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from customhouse.app.process import KINDS, Announcement, Kind, announcement
from customhouse.app.rules import take_in
from customhouse.app.upkeep.formats import refuse
from customhouse.app.upkeep.rollback import roll_back
from customhouse.app.workspace import Accepted, Workspace
from customhouse.cli.output import USAGE
from customhouse.cli.strays import bury_if_first
from customhouse.model.errors import Misconfigured, Problem, Unavailable
from customhouse.state.jobs import Answer, Job, Jobs
from customhouse.telemetry.logs import Logger
from customhouse.telemetry.measure import Counter, Meter

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_HEALTHY_SECONDS = 10.0
_METER_SECONDS = 5.0
_DRAIN_SECONDS: Mapping[Kind, float] = {"collector": 15.0, "pipeline": 30.0, "delivery": 20.0, "console": 5.0}


class Child:
    """One process of the house, and how often it has had to be started."""

    def __init__(self, kind: Kind, workspace: Workspace, logger: Logger, restarts: Counter) -> None:
        """Know what to start; start nothing yet."""
        self._restarts = restarts
        self.kind = kind
        self._workspace = workspace
        self._logger = logger
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0
        self.refused = False
        """It ended because it was misconfigured; starting it again would change nothing."""

    def start(self) -> None:
        """Start the process, away from the terminal's signals: the supervisor passes on what is meant for it."""
        (self._workspace.run / f"{self.kind}.json").unlink(missing_ok=True)
        place = ["--workspace", str(self._workspace.root), "--data", str(self._workspace.data)]
        command = [sys.executable, "-m", "customhouse.cli.main", "process", self.kind, *place]
        self._started_at = time.monotonic()
        try:
            self._process = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
        except OSError as error:  # no memory or no process left: that passes
            self._logger.error("supervisor.not_started", kind=self.kind, reason=error.strerror or "")
            self._not_before = self._started_at + _LONGEST_PAUSE

    def watch(self) -> None:
        """Start the process again when it has ended, later each time it ends soon."""
        if self._process is None:
            if time.monotonic() >= self._not_before:
                self.start()
            return
        code = self._process.poll()
        if code is None:
            return
        lasted = time.monotonic() - self._started_at
        self._pause = _FIRST_PAUSE if lasted > _HEALTHY_SECONDS else min(self._pause * 2, _LONGEST_PAUSE)
        self._logger.error(
            "supervisor.ended", kind=self.kind, code=code, lasted=round(lasted, 1), again_in=round(self._pause, 1)
        )
        self.refused = code == USAGE
        self._restarts.add()
        self._not_before = time.monotonic() + self._pause
        self._process = None

    def signal(self, number: int) -> None:
        """Pass a signal on, if the process is there."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def end(self) -> None:
        """Ask the process to finish what it has and go; make it, when it takes too long."""
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            self._process.wait(_DRAIN_SECONDS[self.kind])
        except subprocess.TimeoutExpired:
            self._logger.error("supervisor.killed", kind=self.kind, after=_DRAIN_SECONDS[self.kind])
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The process id; 0 while there is no process."""
        return 0 if self._process is None else self._process.pid

    def ready(self) -> Announcement | None:
        """Return what the process said when it was ready; None until then."""
        said = announcement(self._workspace, self.kind)
        return said if said and self._process is not None and said.pid == self._process.pid else None


class Supervisor:
    """Runs a workspace until it is told to stop."""

    def __init__(
        self, workspace: Workspace, overrides: Mapping[str, Any], logger: Logger, kinds: tuple[Kind, ...] = KINDS
    ) -> None:
        """Accept the configuration and take the workspace for ourselves. Raises Misconfigured, Unavailable."""
        workspace.prepare(logger)
        self._lock = _take(workspace.run / "supervisor.lock")
        refuse(workspace)
        self._workspace = workspace
        self._overrides = overrides
        self._logger = logger
        self.version = take_in(workspace, overrides)
        self._jobs = Jobs(workspace.jobs("supervisor"))
        self._meter = Meter("supervisor")
        self.children = [
            Child(kind, workspace, logger, self._meter.counter("customhouse_restarts_total", child=kind))
            for kind in kinds
        ]
        self._stopping = False
        self._reloading = False
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_hangup)

    def run(self, welcome: Callable[[Accepted, dict[str, Announcement]], None]) -> None:
        """Start everything, call `welcome` once when all are ready, watch until stopped, then drain."""
        for child in self.children:
            child.start()
        greeted, measured = False, time.monotonic()
        while not self._stopping:
            time.sleep(0.1)
            for child in self.children:
                child.watch()
            bury_if_first([child.pid for child in self.children])
            if not greeted:
                said = {child.kind: ready for child in self.children if (ready := child.ready())}
                if len(said) == len(self.children):
                    greeted = True
                    welcome(self.version, {str(kind): each for kind, each in said.items()})
                self._stopping |= any(child.refused for child in self.children)
            if self._reloading:
                self._reloading = False
                self._reload()
            # Whatever the disk does to these, the processes must be watched.
            with self._chore("jobs"):
                self._jobs.carry_out(self._perform)
            if time.monotonic() >= measured + _METER_SECONDS:
                measured = time.monotonic()
                with self._chore("measuring"):
                    self._meter.write(self._workspace.run)
        self._logger.info("supervisor.stopping")
        for child in self.children:
            child.end()
        os.close(self._lock)
        if not greeted and any(child.refused for child in self.children):
            raise SystemExit(USAGE)  # the process itself has said why

    @contextmanager
    def _chore(self, name: str) -> Iterator[None]:
        """Do something beside the watching: when the disk fails it, say so, and go on."""
        try:
            yield
        except (Unavailable, OSError) as error:
            self._logger.warning("supervisor.chore_failed", chore=name, reason=str(error))

    def _perform(self, job: Job) -> Answer:
        """Do what `customhouse reload` and `customhouse config rollback` ask; note who looks at personal data."""
        if job.verb == "reload":
            return self._reload()
        if job.verb == "rollback":
            return self._rollback(job.arguments)
        if job.verb == "reveal":
            return Answer(ok=True, message="noted")  # the line in the audit is all that is asked for
        return Answer(ok=False, message=f"the supervisor knows no job {job.verb}")

    def _rollback(self, asked: Mapping[str, Any]) -> Answer:
        """Put the user's files back to a version, then take them in: in this order, so that a crash is finished later."""
        number, seen, force = asked.get("number"), asked.get("seen"), asked.get("force")
        if not isinstance(number, int) or not isinstance(seen, str):
            return Answer(ok=False, message="a rollback names a version, and the files that were looked at")
        try:
            done = roll_back(self._workspace, number, self._overrides, seen=seen, force=force is True)
        except Misconfigured as error:
            return _refusal("the rollback was refused; nothing was written", error.problems)
        except OSError as error:
            hint = "free disk space and ask again; the next reload or start finishes what was begun"
            problem = Problem(str(self._workspace.root), f"cannot be written: {error.strerror}", hint)
            return _refusal("the rollback stopped half-way", [problem])
        answer = self._reload()
        if not answer.ok:
            words = (
                f"the files are those of version {number}, but {answer.message}; {self.version.number} stays in force"
            )
            return Answer(ok=False, message=words, details=answer.details)
        details = {**answer.details, "rolled_back_to": number, "written": len(done.write), "removed": len(done.remove)}
        return Answer(ok=True, message=answer.message, details=details)

    def _reload(self) -> Answer:
        """Take in what the user wrote, have secrets read again and lanes go on; a bad file changes nothing."""
        before = self.version.number
        try:
            self.version = take_in(self._workspace, self._overrides)
        except Misconfigured as error:
            self._logger.error("supervisor.reload_refused", problems=len(error.problems), still=before)
            return _refusal("the configuration was refused", error.problems)
        except OSError as error:
            self._logger.error("supervisor.reload_refused", reason=error.strerror, still=before)
            words = f"the configuration cannot be kept: {error.strerror}"
            return _refusal(words, [Problem(str(self._workspace.data), words, "free disk space and reload again")])
        # Also when nothing changed: what `file:` references lead to may have, and a parked lane waits for this word.
        for child in self.children:
            child.signal(signal.SIGHUP)
        self._logger.info("supervisor.reloaded", config=self.version.number, plan=self.version.plan_release)
        details = {"config": self.version.number, "plan_release": self.version.plan_release, "before": before}
        same = "nothing changed; secrets were read again"
        return Answer(ok=True, message="reloaded" if self.version.number != before else same, details=details)

    def _on_stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _on_hangup(self, _number: int, _frame: object) -> None:
        self._reloading = True


def _refusal(message: str, problems: list[Problem]) -> Answer:
    """Say no to a job, with everything that stands against it."""
    listed = [{"place": p.place, "message": p.message, "hint": p.hint} for p in problems]
    return Answer(ok=False, message=message, details={"problems": listed})


@contextmanager
def closed(workspace: Workspace) -> Iterator[bool]:
    """Tell whether the house is closed, and keep it so within the block when it is."""
    try:
        lock = _take(workspace.run / "supervisor.lock")
    except Unavailable:
        yield False
        return
    try:
        yield True
    finally:
        os.close(lock)


def _take(path: Path) -> int:
    """Lock the workspace for this supervisor. Raises Unavailable when another one has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise Unavailable(
            "another `customhouse run` has this data folder; stop it, or choose another with --data"
        ) from None
    return lock
