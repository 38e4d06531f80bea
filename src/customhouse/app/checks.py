"""
What cannot run although every word of it can be read: names, references, secrets, and parts that do not fit together.

Each part is looked at by itself, so that a mistake in one place hides none in another.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from customhouse.alarms.config import AlarmsConfig
from customhouse.alarms.config import problems as alarm_problems
from customhouse.collector.config import ListenConfig, SourceConfig
from customhouse.collector.front import cookie, files, prefixes
from customhouse.console.config import ConsoleConfig
from customhouse.console.config import problems as console_problems
from customhouse.destinations.webhook import WebhookConfig
from customhouse.destinations.webhook import problems as webhook_problems
from customhouse.model.errors import Misconfigured, Problem
from customhouse.settings import decode, resolve
from customhouse.stages.dedupe import DedupeConfig
from customhouse.stages.routing import RouteConfig, check_routes
from customhouse.warehouses.lake import LakeConfig

FILE = "customhouse.yaml"
RESERVED = frozenset({"trail"})
"""Names of lanes the house has by itself."""
_ANY_DESTINATION = cast("type[WebhookConfig | LakeConfig]", WebhookConfig | LakeConfig)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check(data: dict[str, Any], root: Path) -> list[Problem]:
    """Return what is wrong with a configuration as written; `root` is where relative secrets start."""
    sources, destinations = _mapping(data, "sources"), _mapping(data, "destinations")
    names = [str(name) for name in destinations]
    return [
        *_names("sources", sources),
        *_names("destinations", destinations),
        *_sources(sources, root),
        *_destinations(destinations, root),
        *_routes(data.get("routes"), names, [str(name) for name in sources]),
        *_windows(data),
        *_alarms(data, root),
        *_front(data, root),
    ]


def _names(section: str, mapping: dict[Any, Any]) -> Iterable[Problem]:
    """Names stand in books, labels and keys: they must be plain, and not ours."""
    for name in mapping:
        place = f"{FILE}: {section}.{name}"
        if not _NAME.fullmatch(str(name)):
            hint = "use up to 64 letters, digits, `.`, `_`, `-`; begin with a letter or digit"
            yield Problem(place, "this is no name for it", hint)
        if section == "destinations" and name in RESERVED:
            yield Problem(place, f"`{name}` is a lane of the house itself", "choose another name")


def _sources(sources: dict[Any, Any], root: Path) -> Iterable[Problem]:
    owner: dict[str, str] = {}
    for name, written in sources.items():
        source, _ = decode(SourceConfig, written, "")
        if source is None:
            continue
        place = f"{FILE}: sources.{name}.write_key"
        try:
            key = resolve(source.write_key, root, place).reveal()
        except Misconfigured as error:
            yield from error.problems
            continue
        if (other := owner.setdefault(key, str(name))) != name:
            yield Problem(place, f"source `{other}` has the same write key", "give each source its own")


def _destinations(destinations: dict[Any, Any], root: Path) -> Iterable[Problem]:
    lakes = []
    for name, written in destinations.items():
        config, _ = decode(_ANY_DESTINATION, written, "")
        place = f"{FILE}: destinations.{name}"
        if isinstance(config, LakeConfig):
            lakes.append(name)
        elif isinstance(config, WebhookConfig):
            yield from webhook_problems(config, place)
            references = {"secret": config.secret, "write_key": config.write_key}
            references |= {f"headers.{each}": value for each, value in config.headers.items()}
            for field, reference in references.items():
                try:
                    if reference:
                        resolve(reference, root, f"{place}.{field}")
                except Misconfigured as error:
                    yield from error.problems
    if len(lakes) > 1:
        yield Problem(f"{FILE}: destinations.{lakes[1]}", "there is one lake already", "keep one of type `lake`")


def _routes(written: Any, destinations: list[str], sources: list[str]) -> Iterable[Problem]:
    for nth, each in enumerate(written if isinstance(written, list) else []):
        rule, _ = decode(RouteConfig, each, "")
        if rule is None:
            if isinstance(each, dict) and isinstance(each.get("to"), str):
                rule = RouteConfig(to=each["to"])  # what can be said about the rest, decoding says
            else:
                continue
        place = f"{FILE}: routes[{nth}]"
        for problem in check_routes([rule], destinations, ""):
            yield Problem(problem.place.replace("[0]", place, 1), problem.message, problem.hint)
        for name in (rule.when.sources if rule.when else None) or ():
            if name not in sources:
                yield Problem(f"{place}.when.sources", f"there is no source `{name}`", "see `sources`")


def _windows(data: dict[str, Any]) -> Iterable[Problem]:
    dedupe, _ = decode(DedupeConfig, data.get("dedupe", {}), "")
    kept = _mapping(data, "retention").get("owed_days", 8)
    if dedupe is not None and isinstance(kept, int) and kept <= dedupe.window_days:
        hint = f"set it to {dedupe.window_days + 1} or more, or shorten dedupe.window_days"
        message = "the owed log must outlive the dedupe window: after damage, the index of ids is rebuilt from it"
        yield Problem(f"{FILE}: retention.owed_days", message, hint)


def _front(data: dict[str, Any], root: Path) -> Iterable[Problem]:
    """Look at what browsers see of the door."""
    listen, _ = decode(ListenConfig, data.get("listen", {}), "")
    if listen is not None:
        yield from prefixes.problems(listen.prefixes, f"{FILE}: listen.prefixes")
        yield from cookie.problems(listen.cookie, f"{FILE}: listen.cookie")
    try:
        files.manifest(root / "sdk")
    except Misconfigured as error:
        yield from error.problems


def _console(data: dict[str, Any], root: Path) -> Iterable[Problem]:
    """The window on the house: who may look through it, and from where."""
    config, _ = decode(ConsoleConfig, data.get("console", {}), "")
    if config is None:
        return
    yield from console_problems(config, f"{FILE}: console")
    for field, reference in (("password", config.password), ("token", config.token)):
        try:
            if reference:
                resolve(reference, root, f"{FILE}: console.{field}")
        except Misconfigured as error:
            yield from error.problems


def _alarms(data: dict[str, Any], root: Path) -> Iterable[Problem]:
    config, _ = decode(AlarmsConfig, data.get("alarms", {}), "")
    return alarm_problems(config, root, f"{FILE}: alarms") if config else ()


def _mapping(data: dict[str, Any], key: str) -> dict[Any, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}
