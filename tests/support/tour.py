"""
Runs a chapter of the tour as a reader would: every command of its console fences, in order, in one shell's memory.

What follows a command is what it must print: spaces count as one, `…` stands for anything, a line of nothing but `…` for
any number of lines. Commands that only look are repeated until they print it, as people do. Fences marked
`other-terminal` go on in the background. Ports of the text are replaced by free ones.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from house import free_port

PORTS = ("8080", "8081", "8090", "8091")
PATIENCE = 20.0
_FENCE = re.compile(r"^```console(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LOOKS = re.compile(r"customhouse (tail|trace|sql|balance|quarantine list|destinations list)\b")
_SHELL = 'set -a; . ./.shell 2>/dev/null; {command}\ncode=$?; export -p > .shell; declare -fx >> .shell; exit "$code"'


@dataclass
class Command:
    """One command as it is typed, and what must come of it."""

    text: str
    background: bool
    expected: list[str] = field(default_factory=list)

    def came(self, output: str) -> bool:
        """Tell whether the output is what the chapter shows."""
        return not self.expected or re.fullmatch(self._pattern(), _plain(output)) is not None

    def began(self, output: str) -> bool:
        """Tell whether the output begins as the chapter shows."""
        return re.match(self._pattern(), _plain(output)) is not None

    def _pattern(self) -> str:
        lines = _plain("\n".join(self.expected)).splitlines()
        return "".join(r"(?:.*\n)*?" if line == "…" else _any(line) + r"\n" for line in lines)


def commands(chapter: str) -> Iterator[Command]:
    """Yield the commands of a chapter's text."""
    for fence in _FENCE.finditer(chapter):
        background = "other-terminal" in fence["info"]
        last: Command | None = None
        for line in fence["body"].splitlines():
            if line.startswith("$ "):
                if last:
                    yield last
                last = Command(line[2:], background)
            elif last is None:
                raise AssertionError(f"a fence begins without a command: {line}")
            elif line.startswith("> ") or line == ">":
                last.text += "\n" + line[2:]
            else:
                last.expected.append(line)
        if last:
            yield last


class Reader:
    """Somebody at a terminal, in a folder with the example shop."""

    def __init__(self, folder: Path) -> None:
        """Sit down; nothing is typed yet."""
        self._folder = folder
        self._ports = {port: str(free_port()) for port in PORTS}
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Do nothing more."""
        return self

    def __exit__(self, *_: object) -> None:
        """Press Ctrl-C in every other terminal, and insist."""
        for process in reversed(self._running):
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    process.wait(30)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue

    def follow(self, chapter: str) -> int:
        """Type every command and compare; return how many there were."""
        count = 0
        for count, command in enumerate(commands(self._put(chapter)), 1):  # noqa: B007  # the last number is the answer
            if command.background:
                self._open(command)
            else:
                self._type(command)
        return count

    def _type(self, command: Command) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            done = self._run(command.text)
            if done.returncode == 0 and command.came(done.stdout):
                return
            again = _LOOKS.match(command.text) and time.monotonic() < until
            assert again, (
                f"$ {command.text}\n{done.stdout}{done.stderr}\ncode {done.returncode}\nexpected:\n"
                + "\n".join(command.expected)
            )
            time.sleep(0.2)

    def _run(self, text: str) -> subprocess.CompletedProcess[str]:
        left = text.endswith("&")
        script = _SHELL.format(command=f"{{ {text[:-1]}\n}} > /dev/null 2>&1 &" if left else text)
        return subprocess.run(
            ["bash", "-c", script], cwd=self._folder, env=self._environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def _open(self, command: Command) -> None:
        """Run a command in another terminal, and wait until it has begun as the chapter shows."""
        # With the environment installed, `make run` is exactly this.
        text = command.text.replace("make run", "CUSTOMHOUSE_WORKSPACE=examples/shop customhouse run")
        output = self._folder / f"terminal-{len(self._running)}.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"export PATH=$PWD/.venv/bin:$PATH; exec env {text}"],
                cwd=self._folder, env=self._environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip
        self._running.append(process)
        until = time.monotonic() + PATIENCE * 2
        while not command.began(output.read_text()):
            assert process.poll() is None and time.monotonic() < until, f"$ {command.text}\n{output.read_text()}"
            time.sleep(0.05)

    def _put(self, text: str) -> str:
        return re.sub(r"\b(" + "|".join(PORTS) + r")\b", lambda found: self._ports[found[0]], text)

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("CUSTOMHOUSE_")}
        door, console = self._ports["8080"], self._ports["8081"]
        return own | {
            "CUSTOMHOUSE_PORT": door,
            "CUSTOMHOUSE_CONSOLE_PORT": console,
            "COLUMNS": "240",
            "LC_ALL": "C.UTF-8",
        }


def settle_in(folder: Path, root: Path) -> None:
    """Make a folder look like the project to a reader: its example and its environment."""
    shop = root / "examples" / "shop"
    for path in sorted(shop.rglob("*")):
        if path.is_file() and ".data" not in path.parts:
            place = folder / "examples" / "shop" / path.relative_to(shop)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)


def _plain(text: str) -> str:
    """Return text with single spaces, without empty lines around it; every line ends."""
    return "".join(" ".join(line.split()) + "\n" for line in text.strip().splitlines())


def _any(line: str) -> str:
    """Return the pattern of one line, in which `…` stands for anything."""
    return " *.*? *".join(re.escape(part.strip()) for part in line.split("…"))
