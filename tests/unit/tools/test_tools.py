import importlib.util
from pathlib import Path

import pytest

WORK = "/" + "work/"  # in pieces, so that this file passes its own rule
TOOLS = Path(__file__).resolve().parents[3] / "tools"


def tool(name):
    spec = importlib.util.spec_from_file_location(f"tool_{name}", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_too_large_is_named(tmp_path):
    budget = tool("budget")
    for folder in ("src/house", "src/stages", "src/cli", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    many = ", ".join(f"a{n}" for n in range(7))
    body = "\n".join(f"    x{n} = {n}" for n in range(40))
    (tmp_path / "src/house/long.py").write_text("x = 1\n" * 401)
    (tmp_path / "src/house/wide.py").write_text(f"def wide({many}):\n    return a0\n\ndef tall(self, *, a):\n{body}\n")
    (tmp_path / "src/house/__init__.py").touch()
    (tmp_path / "src/cli/look.py").write_text(f"def options({many}):\n    return a0\n")
    (tmp_path / "tests/test_long.py").write_text("x = 1\n" * 600)
    for n in range(13):
        (tmp_path / f"src/house/f{n}.py").touch()
        (tmp_path / f"src/stages/f{n}.py").touch()
        (tmp_path / f"src/stages/g{n}.py").touch()
    assert list(budget.offenders(tmp_path)) == [
        "src/house/long.py: 401 lines, at most 400",
        "src/house/wide.py:1: wide takes 7 parameters, at most 6",
        "src/house/wide.py:4: tall has 41 lines, at most 40",
        "src/house: 15 files, at most 14",
    ]


@pytest.mark.parametrize(
    ("path", "line", "found"),
    [
        ("requirements.lock", "x @ https://host/x.whl", ["requirements.lock:2: an address in a lock file"]),
        (
            "tests/js/package-lock.json",
            '"resolved": "https://host/x"',
            ["tests/js/package-lock.json:2: an address in a lock file"],
        ),
        ("requirements.lock", "x==1 --hash=sha256:00", []),
        ("src/a.py", 'open("/root/x/y")', ["src/a.py:2: the path of a machine"]),
        ("docs/a.md", "see /home/ada/notes", ["docs/a.md:2: the path of a machine"]),
        ("docs/a.md", f"see https://host{WORK}x and .{WORK}x and $X/tmp/y", []),
        ("tests/test_a.py", 'open("/root/x/y")', []),
        ("logo.png", "/root/x/", []),
    ],
)
def test_what_should_not_be_published_is_named(path, line, found):
    assert list(tool("hygiene").offences(path, f"first\n{line}\n")) == found
