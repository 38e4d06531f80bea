"""
Holds the code to its sizes: a file, function or folder that outgrows them is hard to read, and is named here.

Usage: python tools/budget.py. Prints the offenders and exits with 1 when there are any.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FILE_LINES = {"src": 400, "tests": 600, "bench": 600, "tools": 400}
FUNCTION_LINES = 40
PARAMETERS = 6
FOLDER_FILES = 14
CATALOGUES = {"protocols", "stages", "destinations", "warehouses", "cli"}
"""Rooms with one file per thing, or per verb: they grow by design."""


def offenders(root: Path) -> Iterator[str]:
    """Yield every offence below a root, in words."""
    folders: Counter[Path] = Counter()
    for area, most in FILE_LINES.items():
        for path in sorted((root / area).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            shown = path.relative_to(root)
            lines = text.count("\n")
            if lines > most:
                yield f"{shown}: {lines} lines, at most {most}"
            if area == "src":
                folders[shown.parent] += path.name != "__init__.py"
                commands = "cli" in shown.parts
                yield from (f"{shown}:{offence}" for offence in in_functions(ast.parse(text), commands=commands))
    for folder, count in sorted(folders.items()):
        if count > FOLDER_FILES and folder.name not in CATALOGUES:
            yield f"{folder}: {count} files, at most {FOLDER_FILES}"


def in_functions(tree: ast.Module, *, commands: bool = False) -> Iterator[str]:
    """Yield the functions of a module that are too long or take too much; of `commands`, parameters are options."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES:
            yield f"{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"
        taken = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        count = sum(name not in ("self", "cls") for name in taken)
        if count > PARAMETERS and not commands:
            yield f"{node.lineno}: {node.name} takes {count} parameters, at most {PARAMETERS}"


def main() -> int:
    """Print what is too large."""
    found = list(offenders(ROOT))
    print("\n".join(found) if found else "everything is within its size")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
