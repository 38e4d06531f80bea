"""Who may read and write: the data folder, the keys, and the files secrets stand in."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from customhouse.app.configuration import Configuration
from customhouse.app.windows.inspection.finding import Finding, ok, problem, warning
from customhouse.app.workspace import CONFIG_FILE, Workspace
from customhouse.destinations.webhook import WebhookConfig
from customhouse.settings import is_literal

_OTHERS = 0o077
_READABLE = 0o044


def permissions(place: Workspace, configuration: Configuration | None) -> Iterator[Finding]:
    """Yield what there is to say of permissions."""
    yield _data(place)
    if (keys := place.data / "keys").exists():
        yield _private("keys", sorted(path for path in keys.iterdir() if path.is_file()), "key")
    if configuration is not None:
        references = [reference for reference in secrets(configuration) if reference.startswith("file:")]
        if references:
            paths = sorted({place.root / reference[5:] for reference in references})
            yield _private("secrets", [path for path in paths if path.is_file()], "secret file")
        if any(is_literal(each) for each in secrets(configuration)) and place.config_file.stat().st_mode & _READABLE:
            told = f"{CONFIG_FILE} holds secrets, and other users of this machine can read it"
            yield warning("configuration file", told, f"chmod 600 {shlex.quote(str(place.config_file))}")


def secrets(configuration: Configuration) -> Iterator[str]:
    """Yield every reference to a secret, or the secret itself where it stands in the configuration."""
    for source in configuration.sources.values():
        yield source.write_key[:]
    for config in configuration.destinations.values():
        if isinstance(config, WebhookConfig):
            yield from (each[:] for each in (config.secret, config.write_key, *config.headers.values()) if each)
    console, webhook = configuration.console, configuration.alarms.webhook
    yield from (each[:] for each in (console.password, console.token) if each)
    if webhook is not None:
        yield from (each[:] for each in (webhook.url, webhook.secret) if each)


def _data(place: Workspace) -> Finding:
    if not place.data.exists():
        return ok("data folder", "none yet; `customhouse run` makes it")
    where = shlex.quote(str(place.data))
    if not os.access(place.data, os.W_OK | os.X_OK):
        return problem("data folder", "cannot be written", f"chown -R {os.getuid()} {where}")
    if foreign := _foreign(place.data):
        told = f"{foreign.relative_to(place.data)} belongs to another user, and cannot be written"
        return problem("data folder", told, f"chown -R {os.getuid()} {where}")
    if place.data.stat().st_mode & _OTHERS:
        return warning("data folder", "other users of this machine can read it", f"chmod 700 {where}")
    return ok("data folder", "writable, and private to its owner")


def _foreign(data: Path) -> Path | None:
    """Return the first folder or state below that we cannot write; None when all can be."""
    candidates = [path for path in sorted(data.iterdir()) if path.is_dir()]
    candidates += sorted((data / "state").glob("*.db"))
    return next((path for path in candidates if not os.access(path, os.W_OK)), None)


def _private(name: str, paths: list[Path], what: str) -> Finding:
    open_ = [path for path in paths if path.stat().st_mode & _OTHERS]
    count = len(paths)
    if open_:
        told = f"{len(open_)} of {count} {what}{'' if count == 1 else 's'} can be read by other users of this machine"
        return warning(name, told, f"chmod 600 {' '.join(shlex.quote(str(path)) for path in open_)}")
    return ok(name, f"{count} {what}{'' if count == 1 else 's'}, private to the owner")
