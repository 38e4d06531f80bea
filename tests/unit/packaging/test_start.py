"""Starting a command costs little: what only one of them needs is loaded by that one."""

import subprocess
import sys

HEAVY = {"aiohttp", "pyarrow", "duckdb", "deltalake", "starlette", "jinja2", "uvicorn"}


def test_the_command_line_loads_nothing_heavy_before_it_knows_the_verb():
    told = "import sys, customhouse.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True, timeout=60)
    assert not HEAVY & set(loaded.stdout.split())
