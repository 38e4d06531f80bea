"""
Jobs: how a window (CLI, console) asks the owner of a state to do something, without ever writing into that state.

A job is one small file in the owner's folder, written in one piece; the owner carries it out, writes the answer beside
it, and removes the job. A job may be carried out twice when a process dies in between, so every job says what shall be
true in the end, not what shall be added.

Every job leaves a line in the owner's `audit.jsonl`: when, what, through which window, and what came of it. It names
lanes and counts; ids and bodies stay out of it.
"""

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from customhouse.model.errors import Unavailable

_KEEP_ANSWERS = 3600.0
_AUDIT = "audit.jsonl"
_AUDIT_LINE = 512
"""Bytes: more than a line of the audit has."""
_NAMEABLE = ("lane", "number", "release", "what")
"""Arguments that may stand in the audit as they are: they name parts of the configuration, never persons."""
_LOOKS = frozenset({"preview"})
"""Jobs that change nothing: they leave no line in the audit."""


class Job(Struct, frozen=True):
    """What somebody asks for. `arguments` are plain JSON values."""

    id: str
    verb: str
    arguments: dict[str, Any]
    asked_by: str = ""
    """The window that asks: `cli` or `console`."""
    format: Literal[1] = 1


class Answer(Struct, frozen=True):
    """What came of it."""

    ok: bool
    message: str
    details: dict[str, Any] = {}
    format: Literal[1] = 1


class Audited(Struct, frozen=True):
    """One line of the audit: a job that was carried out. `at` is in microseconds since 1970."""

    at: int
    verb: str
    asked_by: str
    about: dict[str, Any]
    ok: bool
    message: str
    details: dict[str, Any] = {}
    format: Literal[1] = 1


class Jobs:
    """The folder of jobs of one owner process."""

    def __init__(self, folder: Path) -> None:
        """Use (and make) the folder."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def ask(self, verb: str, arguments: dict[str, Any], *, timeout: float = 60.0, asked_by: str = "cli") -> Answer:
        """Put a job and wait for its answer. Raises Unavailable when nobody answers within `timeout` seconds."""
        job = Job(f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}", verb, arguments, asked_by)
        self._write(self._folder / f"{job.id}.job", msgspec.json.encode(job))
        answer = self._folder / f"{job.id}.answer"
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if answer.exists():
                found = msgspec.json.decode(answer.read_bytes(), type=Answer)
                answer.unlink(missing_ok=True)
                return found
            time.sleep(0.05)
        raise Unavailable("the job was left and will be done when the process runs; is `customhouse run` up?")

    def carry_out(self, perform: Callable[[Job], Answer]) -> int:
        """
        Do every waiting job, oldest first; return how many there were. The owner calls this now and then.

        Raises Unavailable when an answer cannot be written; its job stays, and is done again.
        """
        done = 0
        for path in sorted(self._folder.glob("*.job")):
            try:
                job = msgspec.json.decode(path.read_bytes(), type=Job)
            except msgspec.MsgspecError:
                answer = Answer(ok=False, message="the job file cannot be read")
            else:
                answer = perform(job)
                if job.verb not in _LOOKS:
                    self._note(job, answer)
            try:
                self._write(path.with_suffix(".answer"), msgspec.json.encode(answer))
            except OSError as error:
                raise Unavailable(f"the answer to a job cannot be written: {error.strerror}") from error
            path.unlink(missing_ok=True)
            done += 1
        if done:
            self._forget_old_answers()
        return done

    def audit(self, last: int) -> list[Audited]:
        """Return the newest lines of the audit, newest first; at most `last`."""
        try:
            with (self._folder / _AUDIT).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - last * _AUDIT_LINE))
                lines = file.read().splitlines()[-last:]
        except FileNotFoundError:
            return []
        found = []
        for line in reversed(lines):
            with suppress(msgspec.MsgspecError):  # half a line, where the reading began or the power went
                found.append(msgspec.json.decode(line, type=Audited))
        return found

    def _note(self, job: Job, answer: Answer) -> None:
        """Leave a line in the audit. Raises Unavailable when it cannot be written: an act without a line is none."""
        counts = {name: len(value) for name, value in job.arguments.items() if isinstance(value, list)}
        plain = {name: job.arguments[name] for name in _NAMEABLE if isinstance(job.arguments.get(name), str | int)}
        numbers = {name: value for name, value in answer.details.items() if isinstance(value, int)}
        line = Audited(
            time.time_ns() // 1000, job.verb, job.asked_by, counts | plain, answer.ok, answer.message, numbers
        )
        try:
            with (self._folder / _AUDIT).open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise Unavailable(f"the audit cannot be written: {error.strerror}") from error

    def _forget_old_answers(self) -> None:
        """Remove answers nobody came for."""
        for path in self._folder.glob("*.answer"):
            if time.time() - path.stat().st_mtime > _KEEP_ANSWERS:
                path.unlink(missing_ok=True)

    def _write(self, path: Path, content: bytes) -> None:
        partial = path.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(path)
