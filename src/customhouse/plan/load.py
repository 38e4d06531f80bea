"""
Reads the `plan/` folder: one YAML file per event, in subfolders as people like.

All problems of all files are found in one go, so that a plan is mended in one sitting.
"""

from collections.abc import Iterator
from pathlib import Path

from customhouse.model.errors import Misconfigured, Problem
from customhouse.plan.definition import Definition, read
from customhouse.plan.plan import Plan
from customhouse.settings import load_yaml

SUFFIXES = (".yaml", ".yml")
"""Of files that are read. Others, and those whose name begins with a dot, may lie in the folder for their own reasons."""

MAX_BYTES = 256 * 1024
"""Of one file: far more than one event needs."""


def load(folder: Path) -> Plan:
    """Return the plan a folder holds. Raises Misconfigured with every problem found."""
    plan, found = _read(folder)
    if found:
        raise Misconfigured(found)
    return plan


def problems(folder: Path) -> list[Problem]:
    """Return everything wrong with a plan's folder; empty when it loads."""
    return _read(folder)[1]


def _read(folder: Path) -> tuple[Plan, list[Problem]]:
    if not folder.is_dir():
        return Plan(), [Problem(f"{folder.name}/", "there is no such folder", "create it; it may be empty")]
    found: list[Problem] = []
    by_key: dict[tuple[str, str], tuple[str, Definition]] = {}
    for path in _files(folder):
        place = f"{folder.name}/{path.relative_to(folder).as_posix()}"
        definition, wrong = _read_file(path, place)
        found += wrong
        if definition is None:
            continue
        first, _ = by_key.setdefault(definition.key, (place, definition))
        if first != place:
            hint = "keep one of the two"
            found.append(Problem(f"{place}: event", f"{definition.title} is already defined in {first}", hint))
    return Plan.of(definition for _, definition in by_key.values()), found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.suffix in SUFFIXES and path.is_file() and not any(part.startswith(".") for part in inside):
            yield path


def _read_file(path: Path, place: str) -> tuple[Definition | None, list[Problem]]:
    if path.stat().st_size > MAX_BYTES:
        return None, [Problem(place, f"the file is larger than {MAX_BYTES // 1024} KiB", "one event has one file")]
    data, found = load_yaml(path, place)
    if data is None and found:
        return None, found
    definition, wrong = read(data, place)
    return (None if found else definition), found + wrong
