"""
Picks out of requirements.lock what some packages need, versions and hashes as they are there.

    python packaging/locked.py              what customhouse needs to run
    python packaging/locked.py hatchling    what hatchling needs

The lock holds the tools of development as well, which have no business in an image. Who needs whom stands in its
`# via` comments. Nothing can be forgotten unseen: pip refuses with `--require-hashes` to install what is not listed.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")


def blocks(lock: str) -> dict[str, str]:
    """Return by package what the lock says of it."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        if match := _NAME.match(line):
            name = _plain(match.group())
        if name:
            found[name] = found.get(name, "") + line
    return found


def needed(lock: dict[str, str], names: Iterable[str]) -> list[str]:
    """Return the packages and everything they need, in order. Raises KeyError for one that is not in the lock."""
    wanted: set[str] = set()
    waiting = [_plain(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            lock[name]  # a name that is not there is a mistake
            waiting += [other for other, text in lock.items() if name in _via(text)]
    return sorted(wanted)


def runtime(project: str) -> list[str]:
    """Return the names of what a pyproject.toml depends on, without its extras."""
    return [match.group() for each in tomllib.loads(project)["project"]["dependencies"] if (match := _NAME.match(each))]


def _via(text: str) -> set[str]:
    comments = [line.strip().lstrip("# ").removeprefix("via").strip() for line in text.splitlines() if "# " in line]
    return {_plain(word) for word in comments if word}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Print the part of the lock that was asked for."""
    root = Path(__file__).resolve().parent.parent
    lock = blocks((root / "requirements.lock").read_text())
    names = sys.argv[1:] or runtime((root / "pyproject.toml").read_text())
    for name in needed(lock, names):
        sys.stdout.write(lock[name])


if __name__ == "__main__":
    main()
