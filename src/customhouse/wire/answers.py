"""
How a destination's HTTP answer is read: the rules every HTTP service shares, so that each file adds only its own.

What a status means is decided here once: which answers pass by themselves, which are for ever, and how long the other
side asks to wait. Texts are cut short, because they end in the trail.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from customhouse.model.http import Response
from customhouse.model.outcome import Delivered, Receipt, Rejected, Retry

DETAIL_CHARACTERS = 500

_PASSING = {401: "unauthorized", 403: "unauthorized", 408: "timeout", 425: "throttled", 429: "throttled"}


def judge_status(response: Response) -> Receipt:
    """
    Return what the status alone says of everything in the request.

    2xx is delivered. 408, 425, 429 and 5xx pass by themselves; 401 and 403 pass when somebody mends the credentials. So
    does a redirect, which is never followed: somebody has to set the final address. Any other 4xx is for ever.
    """
    status = response.status
    if 200 <= status < 300:
        return Delivered(str(status))
    if status in _PASSING:
        return Retry(_PASSING[status], retry_after(response), detail(response))
    if 400 <= status < 500:
        return Rejected("destination_refused", detail(response))
    if 300 <= status < 400:
        return Retry("server_error", detail=f"{status}: redirects are not followed; set the final address")
    return Retry("server_error", retry_after(response), detail(response))


def retry_after(response: Response) -> float | None:
    """
    Return the seconds the answer asks to wait, or None when it does not say (or not readably).

    A date is measured against the answer's own `Date`, so that nobody's clock matters; without one it says nothing.
    """
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until, since = _date(text), _date(response.headers.get("date", ""))
    if until is None or since is None:
        return None
    return max(0.0, (until - since).total_seconds())


def detail(response: Response) -> str:
    """Return the status and the beginning of the body as one line of text for people."""
    text = " ".join(response.body[: 4 * DETAIL_CHARACTERS].decode("utf-8", "replace").split())
    return f"{response.status} {text}"[:DETAIL_CHARACTERS].rstrip()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
