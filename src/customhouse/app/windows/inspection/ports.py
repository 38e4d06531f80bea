"""The two ports of the house: ours, free, or somebody else's, and whose when the system tells."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from customhouse.app.configuration import Configuration
from customhouse.app.process import announcement
from customhouse.app.windows.inspection.finding import Finding, ok, problem
from customhouse.app.workspace import Workspace

_PROC = Path("/proc")
_LISTEN = "0A"


def ports(place: Workspace, configuration: Configuration) -> Iterator[Finding]:
    """Yield what there is to say of the ports of door and console."""
    listen, console = configuration.listen, configuration.console
    yield _port(place, ("door", "collector", "CUSTOMHOUSE_PORT"), listen.host, listen.port)
    yield _port(place, ("console", "console", "CUSTOMHOUSE_CONSOLE_PORT"), console.host, console.port)


def _port(place: Workspace, names: tuple[str, str, str], host: str, port: int) -> Finding:
    name, kind, variable = names
    if running := announcement(place, kind):
        return ok(name, f"open on port {running.port}")
    if port == 0:
        return ok(name, "takes any free port")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        told = f"{host} is no address of this machine"
        return problem(
            name, told, f"set the address in customhouse.yaml; for this machine alone: host: 127.0.0.1 ({name})"
        )
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            owner = owner_of(port)
            told = f"{host}:{port} cannot be used: {error.strerror}" + (f"; {owner} has it" if owner else "")
            return problem(name, told, f"stop what has the port, or: {variable}={port + 10} customhouse run")
    return ok(name, f"{host}:{port} is free")


def owner_of(port: int) -> str:
    """Return who listens on a port, as `process 123 (name)`; empty where the system does not tell."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not wanted:
        return ""
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            for fd in (folder / "fd").iterdir():
                with suppress(OSError):
                    if os.readlink(fd) in wanted:  # noqa: PTH115  # these links lead to no path
                        name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
                        return f"process {folder.name} ({name})"
    return ""


def _inodes(port: int) -> Iterator[str]:
    """Yield the sockets that listen on a port."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if len(words) > 9 and words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                yield words[9]
