"""
Structured logs: one JSON object per line on stderr, or one readable line when a person is watching.

Logs leave the house by ways nobody audits. What a line may hold is decided in `lines`; here, of exceptions that are not
our own only the type and the lines of code are told, because their messages quote data.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Literal, TextIO

from customhouse.model.errors import CustomhouseError
from customhouse.telemetry.lines import for_machines, for_people, line_of

Value = str | int | float | bool | None | Sequence[str | int | float | bool | None]
"""What may be logged."""
Level = Literal["debug", "info", "warning", "error"]

_RANKS: dict[str, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3}


class Sink:
    """Where lines go, from which level on, and in which of the two shapes."""

    def __init__(self, stream: TextIO, *, level: Level = "info", readable: bool = False, colour: bool = False) -> None:
        """Write to a stream; `readable` is for people, `colour` for people at a terminal."""
        self._stream = stream
        self._lowest = _RANKS[level]
        self._readable = readable
        self._colour = colour

    def wants(self, level: str) -> bool:
        """Say whether lines of this level are written."""
        return _RANKS[level] >= self._lowest

    def write(self, line: Mapping[str, object]) -> None:
        """Write one line. A stream that is gone loses it: logging never stops the work."""
        text = for_people(line, colour=self._colour) if self._readable else for_machines(line)
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except (OSError, ValueError):
            return


class Logger:
    """Says what happens, with the fields bound to it. Cheap to make: bind one per batch or connection."""

    __slots__ = ("_bound", "_sink")

    def __init__(self, sink: Sink, bound: Mapping[str, Value]) -> None:
        """Log to a sink; `bound` fields stand in every line."""
        self._sink = sink
        self._bound = dict(bound)

    def bind(self, **fields: Value) -> "Logger":
        """Return a logger that adds these fields to every line."""
        return Logger(self._sink, {**self._bound, **fields})

    def debug(self, event: str, **fields: Value) -> None:
        """Tell what helps only while looking for a fault."""
        self._log("debug", event, fields)

    def info(self, event: str, **fields: Value) -> None:
        """Tell what an operator wants to know of an ordinary day."""
        self._log("info", event, fields)

    def warning(self, event: str, **fields: Value) -> None:
        """Tell what will need somebody if it goes on."""
        self._log("warning", event, fields)

    def error(self, event: str, **fields: Value) -> None:
        """Tell what needs somebody now."""
        self._log("error", event, fields)

    def failed(self, event: str, error: BaseException, **fields: Value) -> None:
        """Tell of an exception: its type and lines of code, and its message only when it is one of our own."""
        import traceback

        frames = traceback.extract_tb(error.__traceback__)[-8:]
        facts: dict[str, Value] = {"error": type(error).__name__}
        if isinstance(error, CustomhouseError):
            facts["message"] = str(error)
        elif isinstance(error, OSError) and error.strerror:
            facts["message"] = error.strerror
        facts["lines"] = [f"{'/'.join(f.filename.split('/')[-2:])}:{f.lineno} {f.name}" for f in frames]
        self._log("error", event, {**facts, **fields})

    def _log(self, level: Level, event: str, fields: Mapping[str, Value]) -> None:
        if self._sink.wants(level):
            self._sink.write(line_of(level, event, {**self._bound, **fields}))


def open_log(
    process: str, *, stream: TextIO | None = None, level: Level = "info", environment: Mapping[str, str] | None = None
) -> Logger:
    """
    Return the logger of a process: JSON lines, or readable ones when the stream (stderr by default) is a terminal.

    Colours are off when the environment has `NO_COLOR`, or `TERM` says that the terminal is dumb.
    """
    out = sys.stderr if stream is None else stream
    known = os.environ if environment is None else environment
    terminal = out.isatty()
    colour = terminal and not known.get("NO_COLOR") and known.get("TERM") != "dumb"
    return Logger(Sink(out, level=level, readable=terminal, colour=colour), {"process": process})


def adopt_stdlib(logger: Logger) -> None:
    """
    Send what libraries log through the standard library, from WARNING on, to our log.

    Only the first line of the message's template is told, without what would be filled in: that may be anybody's data.
    """
    import logging

    class Adopter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            template = record.msg.partition("\n")[0][:200] if isinstance(record.msg, str) else ""
            facts: dict[str, Value] = {"library": record.name, "message": template}
            if record.exc_info and record.exc_info[1] is not None:
                logger.failed("library", record.exc_info[1], **facts)
            else:
                (logger.error if record.levelno >= logging.ERROR else logger.warning)("library", **facts)

    root = logging.getLogger()
    root.handlers = [Adopter(level=logging.WARNING)]
    root.setLevel(logging.WARNING)
