"""
The three kinds of exception that may cross a room's border.

    CustomhouseError
    ├── Misconfigured    what the user wrote cannot run: every problem at once, each with its place and a hint
    ├── Unavailable      the world does not answer (disk, destination, another process): the only retryable one
    └── Broken           our own bug, or damage on disk: never retried, always reported

Faults in events are never exceptions: they are values (see `outcome`), because a bad event is ordinary business.
"""

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One thing wrong in what the user wrote: where it stands, what is wrong, and how to mend it."""

    place: str
    """File and path inside it, such as `customhouse.yaml: sources.web.write_key`."""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Return the problem as one line, or two when there is a hint."""
        return f"{self.place}: {self.message}" + (f"\n    hint: {self.hint}" if self.hint else "")


class CustomhouseError(Exception):
    """Anything this project raises on purpose."""


class Misconfigured(CustomhouseError):
    """What the user wrote cannot run. Carries every problem found, never only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        """Keep the problems, in the order in which they were found."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Unavailable(CustomhouseError):
    """Something outside does not answer now; trying again later may succeed."""

    def __init__(self, message: str, *, after: float | None = None) -> None:
        """Keep the message, and the seconds to wait when the other side named them."""
        super().__init__(message)
        self.after = after


class Broken(CustomhouseError):
    """A bug of ours or damage on disk. The message says which file or invariant."""
