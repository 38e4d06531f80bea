"""
Python values into Arrow columns, without a surprise for any value an event can hold.

Ids become text through one NumPy shuffle instead of one string per id: at tens of thousands of rows per commit this is
the difference between nothing and a microsecond a row.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

DAY = 86_400_000_000
"""Microseconds in a day."""
TIME = pa.timestamp("us", tz="UTC")
_ENDLESS = 2**63
_TEXT_LENGTH = 36
_DASHES = (8, 13, 18, 23)
_DIGITS = np.array([place for place in range(_TEXT_LENGTH) if place not in _DASHES])


def uuids(ids: Sequence[bytes]) -> pa.Array:
    """Return sixteen-byte ids as a column of text such as `0190163d-8694-739b-aea5-966c26f8ad91`."""
    digits = np.frombuffer(b"".join(ids).hex().encode(), dtype=np.uint8).reshape(len(ids), 32)
    text = np.full((len(ids), _TEXT_LENGTH), ord("-"), dtype=np.uint8)
    text[:, _DIGITS] = digits
    ends = np.arange(len(ids) + 1, dtype=np.int32) * _TEXT_LENGTH
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(ends), pa.py_buffer(text))


def texts(values: Sequence[str | bytes | None]) -> pa.Array:
    """Return a column of text. What is no Unicode text (a lone surrogate, broken bytes) is replaced, never refused."""
    try:
        # Half of the columns of an ordinary batch say the same in every row.
        if values and values[0] == values[-1] and values.count(values[0]) == len(values):
            return pa.repeat(pa.scalar(values[0], pa.string()), len(values))
        return pa.array(values, pa.string())
    except (UnicodeError, pa.ArrowInvalid):
        return pa.array([_mended(value) for value in values], pa.string())


def times(values: Sequence[int | None]) -> pa.Array:
    """Return microseconds since 1970 as a column of UTC times; one beyond 64 bits is no time at all."""
    try:
        return pa.array(values, pa.int64()).cast(TIME)
    except (OverflowError, pa.ArrowInvalid):
        fitting = [value if value is not None and abs(value) < _ENDLESS else None for value in values]
        return pa.array(fitting, pa.int64()).cast(TIME)


def days(values: Sequence[int]) -> pa.Array:
    """Return the UTC dates of microseconds since 1970."""
    return pa.array(np.asarray(values, dtype=np.int64) // DAY, pa.int64()).cast(pa.int32()).cast(pa.date32())


def _mended(value: str | bytes | None) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.encode(errors="replace").decode()
