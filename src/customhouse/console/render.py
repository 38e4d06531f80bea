"""
Making pages: the templates, and how numbers, times and states are shown in all of them.

Everything a client sent is escaped. Times stand in the markup exactly, in UTC; the browser shows how long ago that was.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

TONES: Mapping[str, tuple[str, str]] = {
    "good": ("●", "delivered"),
    "wait": ("◐", "waiting"),
    "bad": ("▲", "refused"),
    "info": ("◇", "information"),
    "again": ("↻", "repeated"),
    "quiet": ("○", "quiet"),
}
"""Every tone has a shape and a word beside its colour, so that it reads without colour."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


class Templates:
    """The templates of the console, compiled once."""

    def __init__(self) -> None:
        """Load them from the package."""
        self._environment = _environment()

    def render(self, name: str, **context: Any) -> str:
        """Return a page or a part of one."""
        return self._environment.get_template(name).render(**context)


@cache
def _environment() -> Environment:
    """Return the templates, all compiled, so that no first page waits for it. A name not handed in is a mistake."""
    environment = Environment(
        loader=PackageLoader("customhouse.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "number": number,
        "decimal": decimal,
        "when": when,
        "clock": clock_tag,
        "time": time_tag,
        "ago": ago_tag,
        "size": size,
        "seconds": seconds,
        "tone": tone,
        "pretty": pretty,
    }
    environment.globals["asset"] = asset
    for name in environment.list_templates():
        environment.get_template(name)
    return environment


@cache
def asset(name: str) -> str:
    """Return the address of a file of ours with its fingerprint, so that browsers may keep it for ever."""
    content = (files("customhouse.console") / "static" / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


def number(value: float | None) -> str:
    """Return a count with its thousands apart."""
    return "–" if value is None else f"{value:,.0f}"


def decimal(value: float | None) -> str:
    """Return a number to one digit, or whole when it is large."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.1f}"


def size(value: float | None) -> str:
    """Return bytes in the unit people would use."""
    if value is None:
        return "–"
    for unit in _UNITS:
        if abs(value) < 1000 or unit == _UNITS[-1]:
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1000
    return ""


def seconds(value: float | None) -> str:
    """Return a duration in the unit people would use."""
    if value is None:
        return "–"
    if value < 1:
        return f"{value * 1000:,.0f} ms"
    for bound, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if value < bound:
            return f"{value / unit:,.0f} {name}"
    return f"{value / 86_400:,.0f} d"


def when(us: int | None) -> str:
    """Return a time in UTC to the millisecond."""
    return "" if us is None else _utc(us).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00") + "Z"


def time_tag(us: int | None) -> Markup:
    """Return a time, exact."""
    if us is None:
        return Markup("–")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(_machine(us), when(us), when(us))


def clock_tag(us: int) -> Markup:
    """Return the time of day, for sentences; the exact time stands in the markup."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        _machine(us), when(us), _utc(us).strftime("%H:%M UTC")
    )


def ago_tag(us: int | None) -> Markup:
    """Return a time that the browser shows as how long ago it was; the exact one stands in the markup."""
    if us is None:
        return Markup("–")
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(_machine(us), when(us), when(us))


def tone(words: str, name: str) -> Markup:
    """Return a state in words with its shape and colour."""
    mark, _ = TONES[name]
    return Markup('<span class="tone {}"><span aria-hidden="true">{}</span> {}</span>').format(
        name, mark, escape(words)
    )


def pretty(value: Any) -> str:
    """Return JSON for people."""
    return msgspec.json.format(msgspec.json.encode(value)).decode()


def _utc(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)


def _machine(us: int) -> str:
    return _utc(us).isoformat(timespec="milliseconds").replace("+00:00", "Z")
