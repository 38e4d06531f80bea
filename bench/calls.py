"""Starts the client and hands over what it says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Call:
    """A client that has prepared its requests."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Wait until it is ready."""
        self._process = process
        if self._line() != "ready":
            raise RuntimeError("the client did not get ready")

    def start(self) -> None:
        """Let it send."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> dict[str, Any]:
        """Wait for its end, and return what it measured."""
        said: dict[str, Any] = json.loads(self._line() or "null") or {}
        if not said:
            raise RuntimeError("the client ended without a word")
        return said

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def call(port: int, kind: str, **options: object) -> Iterator[Call]:
    """Prepare a client; see `bench.client` for its options."""
    said = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "bench.client", f"--port={port}", f"--kind={kind}", *said]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Call(process)
    finally:
        process.kill()
        process.communicate()
