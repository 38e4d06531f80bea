"""Where the demo sends to, when nobody says: the running house of the workspace, as its first source."""

from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from customhouse.app.process import announcement
from customhouse.app.rules import newest
from customhouse.app.workspace import CONFIG_FILE, Workspace, accepted
from customhouse.collector.config import SourceConfig
from customhouse.demo.client import Target
from customhouse.model.errors import Misconfigured, Problem
from customhouse.settings import resolve

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104  # compared with, not bound to


class Place(Struct, frozen=True):
    """A target, and what else is known of the house behind it."""

    target: Target
    source: str = ""
    console: str = ""
    """Where its console is; empty when none runs, or when nobody knows."""


def running_house(workspace: Workspace, source: str = "") -> Place:
    """Return the house that runs in a workspace. Raises Misconfigured when none does, or it has no such source."""
    door = announcement(workspace, "collector")
    if accepted(workspace) is None or door is None:
        hint = "start it: customhouse run; or name another door with --url and --write-key"
        raise Misconfigured([Problem(str(workspace.root), "no house runs in this workspace", hint)])
    said = newest(workspace).configuration
    name = _chosen(said.sources, source)
    place = f"{CONFIG_FILE}: sources.{name}.write_key"
    key = resolve(said.sources[name].write_key, workspace.root, place)
    console = announcement(workspace, "console")
    return Place(
        target=Target(f"http://{_host(said.listen.host)}:{door.port}", key),
        source=name,
        console=f"http://{_host(said.console.host)}:{console.port}" if console else "",
    )


def elsewhere(url: str, write_key: str, folder: Path) -> Target:
    """
    Return a door that was named. The key may be `env:NAME` or `file:PATH`, which starts at `folder`.

    Raises Misconfigured when it cannot be one.
    """
    parts = urlsplit(url)
    found = []
    if parts.scheme not in ("http", "https") or not parts.hostname:
        found.append(Problem("--url", "an http or https address was expected", "such as http://127.0.0.1:8080"))
    if parts.username or parts.password or parts.query or parts.fragment:
        hint = "leave it out of the address; the key has --write-key"
        found.append(Problem("--url", "the address holds credentials, a query or a fragment", hint))
    if not write_key:
        hint = "add --write-key env:NAME, file:PATH or the key itself"
        found.append(Problem("--write-key", "another door needs to be told the write key", hint))
    if found:
        raise Misconfigured(found)
    return Target(url.rstrip("/"), resolve(write_key, folder, "--write-key"))


def _chosen(sources: dict[str, SourceConfig], wanted: str) -> str:
    if wanted and wanted in sources:
        return wanted
    if wanted:
        hint = f"one of {', '.join(sources)}"
        raise Misconfigured([Problem("--source", f"the house has no source named {wanted}", hint)])
    enabled = [name for name, source in sources.items() if source.enabled]
    if not enabled:
        hint = f"set `enabled: true` on one in {CONFIG_FILE}, then customhouse reload"
        raise Misconfigured([Problem(f"{CONFIG_FILE}: sources", "every source is switched off", hint)])
    return enabled[0]


def _host(host: str) -> str:
    """Return an address one can connect to for one that is listened on."""
    host = _ANYWHERE.get(host, host)
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
