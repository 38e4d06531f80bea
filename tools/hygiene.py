"""
Holds tracked files to what must never be published: addresses in lock files, and paths of somebody's machine.

Usage: python tools/hygiene.py. Prints the offending lines and exits with 1 when there are any.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LOCKS = re.compile(r"(^|/)([^/]*\.lock|[^/]*-lock\.(json|yaml))$")
TEXTS = re.compile(r"\.(py|md|toml|yaml|yml|json|txt|cfg|sh)$|(^|/)(Makefile|run)$")
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(work|root|tmp|home/[a-z]+|Users/\w+)/")
EXEMPT = ("tests/", "tools/hygiene.py")
"""Tests may show hostile and invented paths; this file names what it looks for."""


def offences(path: str, text: str) -> Iterator[str]:
    """Yield what a file's text holds and should not, line by line."""
    lock = LOCKS.search(path) is not None
    machine = TEXTS.search(path) is not None and not path.startswith(EXEMPT)
    for number, line in enumerate(text.splitlines(), 1):
        if lock and "://" in line:
            yield f"{path}:{number}: an address in a lock file"
        if machine and MACHINE_PATH.search(line):
            yield f"{path}:{number}: the path of a machine"


def tracked(root: Path) -> Iterable[str]:
    """Return the files git knows, relative to the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True)
    return [name for name in listed.stdout.decode().split("\0") if name and (root / name).is_file()]


def main() -> int:
    """Print what must not be published."""
    found = []
    for name in tracked(ROOT):
        if LOCKS.search(name) or TEXTS.search(name):
            found += offences(name, (ROOT / name).read_text(encoding="utf-8", errors="replace"))
    print("\n".join(found) if found else "nothing that should not be published")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
