"""What families in Segment's shape have in common at the edges of a request: write keys in headers, and refusals."""

import base64
import binascii
from functools import lru_cache
from urllib.parse import unquote

import msgspec

from customhouse.model.contracts import Refusal
from customhouse.model.http import Reply
from customhouse.model.reasons import REASONS

_LONGEST = 512
_STATUS = {
    "missing_write_key": 401,
    "unknown_write_key": 401,
    "body_too_large": 413,
    "body_inflates": 413,
    "batch_too_long": 413,
    "too_busy": 503,
    "disk_low": 503,
    "log_unavailable": 503,
    "draining": 503,
}
_RETRY_AFTER = 1


def basic_user(authorization: str) -> str:
    """Return the user of HTTP Basic credentials, with or without a colon behind it; empty when there is none."""
    return _usual_user(authorization) if len(authorization) <= _USUAL else _basic_user(authorization)


def _basic_user(authorization: str) -> str:
    scheme, _, credentials = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return ""
    return decoded(credentials).partition(":")[0].strip()


_USUAL = 200
"""Characters; a client sends the same credentials with every request, and what is longer is not worth remembering."""
_usual_user = lru_cache(maxsize=1024)(_basic_user)


def decoded(text: str) -> str:
    """Return what is behind base64 text, or nothing when it is broken or no text."""
    text = text.strip()
    try:
        return base64.b64decode(text[: 4 * _LONGEST], validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def query_value(query: str, name: str) -> str:
    """Return the first value of a name in a query string, percent-decoded; empty when there is none."""
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key == name:
            return unquote(value.replace("+", " ")).strip()[:_LONGEST]
    return ""


def refusal_reply(refusal: Refusal, disabled: int) -> Reply:
    """
    Say no as JSON with `code` and `message`, in our words only: nothing of the request comes back.

    rudder-sdk-python resends for ever what it is refused in any other JSON. `disabled` is the family's status for a
    source that is switched off; with 503 goes `Retry-After`, because these reasons pass by themselves.
    """
    status = disabled if refusal.reason == "source_disabled" else _STATUS.get(refusal.reason, 400)
    known = REASONS.get(refusal.reason)
    message = f"{known.meaning} {known.remedy}" if known else "The request is not taken."
    body = msgspec.json.encode({"code": refusal.reason, "message": message})
    headers = (("Retry-After", str(max(refusal.retry_after, _RETRY_AFTER))),) if status == 503 else ()
    return Reply(status, body, headers=headers)
