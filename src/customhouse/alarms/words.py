"""Numbers as people read them in an alarm's sentence."""

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))
_SIZES = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB"))


def span(seconds: float) -> str:
    """Return a length of time in its largest two units: `3 h 20 min`."""
    left = int(max(0.0, seconds))
    for nth, (size, unit) in enumerate(_UNITS):
        if left >= size:
            rest = left % size
            smaller, name = _UNITS[nth + 1] if nth + 1 < len(_UNITS) else (1, "s")
            more = f" {rest // smaller} {name}" if rest // smaller else ""
            return f"{left // size} {unit}{more}"
    return f"{left} s"


def size(count: int) -> str:
    """Return bytes in a unit that fits."""
    for unit, name in _SIZES:
        if abs(count) >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count} bytes"


def waiting(count: int) -> str:
    """Return that so many events wait."""
    return f"{events(count)} {'waits' if count == 1 else 'wait'}"


def events(count: int) -> str:
    """Return a number of events."""
    return f"{count:,} event{'' if count == 1 else 's'}"
