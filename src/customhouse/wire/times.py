"""
Times on the wire: every form SDKs really send, to and from microseconds since 1970 in UTC.

ISO 8601 with `Z`, an offset or nothing (then it is UTC), 0 to 9 fraction digits, dates alone; and epoch numbers in
seconds, milliseconds or microseconds, told apart by their size, as numbers or as text.
"""

import re
from datetime import UTC, datetime, timedelta

_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the zero of times that name no zone, which are UTC
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_from_iso = datetime.fromisoformat
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{0,20})?")
_LOOSE_ZONE = re.compile(r" *(?:UTC|GMT|Z)$| +(?=[+-][0-9:]{4,6}$)", re.IGNORECASE)

_FIRST = -62_135_596_800_000_000
_LAST = 253_402_300_799_999_999
"""The years 1 to 9999."""

_LONGEST = 64
"""Characters; no time is written longer."""


def parse(value: object) -> int | None:
    """Return microseconds UTC of whatever a client sent as a time, or None when it cannot be read."""
    if type(value) is str:
        # Digits alone could pass for ISO 8601's compact form: only what has its dash goes the short way.
        if value[4:5] != "-":
            return _text(value)
        try:
            since = _from_iso(value) - _EPOCH
        except (ValueError, TypeError):
            return _iso(value)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _number(value)


def format(us: int) -> str:  # noqa: A001 - read with its module: `times.format`
    """Return ISO 8601 text in UTC with milliseconds, or microseconds when there are some. Clamped to years 1 to 9999."""
    us = min(max(us, _FIRST), _LAST)
    moment = _NAIVE_EPOCH + timedelta(microseconds=us)
    return moment.isoformat(timespec="microseconds" if us % 1000 else "milliseconds") + "Z"


def _iso(text: str) -> int | None:
    try:
        moment = _from_iso(text)
    except ValueError:
        tidy = _tidy(text)
        return None if tidy == text else _iso(tidy)
    since = moment - (_NAIVE_EPOCH if moment.tzinfo is None else _EPOCH)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _tidy(text: str) -> str:
    """Mend how the zone is written, `z`, ` UTC` or a blank before the offset, and leave everything else as it is."""
    if len(text) > _LONGEST:
        return text
    return _LOOSE_ZONE.sub(lambda zone: "" if zone[0].isspace() else "Z", text.strip())


def _text(text: str) -> int | None:
    """Read text that does not look like a year and a dash: a number, or another form of ISO 8601."""
    text = text[: _LONGEST + 1].strip()
    if len(text) > _LONGEST:
        return None
    if not _NUMBER.fullmatch(text):
        return _iso(text)
    return _number(float(text) if "." in text else int(text))


def _number(value: float) -> int | None:
    """Read an epoch number by its size: seconds until the year 5138, milliseconds from 1973, microseconds alike."""
    size = abs(value)
    if size < 1e11:
        return round(value * 1_000_000)
    if size < 1e14:
        return round(value * 1_000)
    return round(value) if size < 1e17 else None
