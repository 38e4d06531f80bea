"""
What goes wrong on purpose: fifteen mistakes as shops really make them, each with a name, a share and a known fate.

The fate is the account of the books in which the event must end in a house with the shop's plan and the usual limits;
an empty one means that it is delivered, perhaps with a flag or a violation. So the report can be held against
`customhouse balance`.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from customhouse.demo.wire import BROWSERS, RUDDER_NODE, RUDDER_WEB, Draft
from customhouse.model.errors import Misconfigured, Problem
from customhouse.wire import times

_MINUTE = 60_000_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

Of = Literal["event", "request", "visit", "sign-up"]


class Mistake(Struct, frozen=True):
    """One kind of mistake."""

    weight: float
    """Its part of all mistakes."""
    words: str
    fate: str = ""
    shown: str = ""
    """What one sees of it, where the fate does not say."""
    of: Of = "event"
    """What its share is a share of."""


DUPLICATE = "dropped:duplicate"
MISTAKES: dict[str, Mistake] = {
    "resent": Mistake(0.12, "the same request sent again", DUPLICATE, of="request"),
    "id_reused": Mistake(0.05, "another event under the same message id", DUPLICATE, "flag duplicate_conflict"),
    "property_missing": Mistake(0.12, "a required property left out", "quarantined:schema_violation"),
    "wrong_type": Mistake(0.12, "an amount sent as text", "quarantined:schema_violation"),
    "unknown_event": Mistake(0.08, "an event the plan does not know", "", "violation: unplanned"),
    "misspelt_event": Mistake(0.08, "an event's name misspelt", "", "violation: unplanned"),
    "oversized": Mistake(0.03, "an event over 32 KiB", "quarantined:event_too_large"),
    "clock_wrong": Mistake(0.12, "a clock that is minutes or days off", "", "flag clock_corrected"),
    "clock_future": Mistake(0.06, "a time in the future", "", "flag clock_future"),
    "offline": Mistake(0.08, "hours without a network, then everything at once", "", "old times, taken as they are", "visit"),
    "no_identity": Mistake(0.06, "neither a user id nor an anonymous id", "quarantined:identity_missing"),
    "broken_json": Mistake(0.04, "broken JSON within a batch", "quarantined:event_unreadable"),
    "odd_text": Mistake(0.02, "zero bytes and odd Unicode in a text", "", "stored as sent"),
    "half_character": Mistake(0.02, "half an emoji, where a text was cut", "", "flag json_repaired"),
    "link_missing": Mistake(0.0, "a sign-up the browser is never told of", "", "two persons where there is one", "sign-up"),
}  # fmt: skip  # a table
LEVELS = {"none": 0.0, "some": 0.05, "many": 0.25}
_UNLINKED = 2.0
"""A sign-up loses its link so many times as often as an event goes wrong."""

_REQUIRED = {
    "Products Searched": "query",
    "Product Viewed": "price",
    "Product Added": "quantity",
    "Checkout Started": "currency",
    "Order Completed": "total",
    "Order Refunded": "order_id",
    "Signed Up": "method",
}
_AMOUNTS = {"Product Viewed": "price", "Product Added": "price", "Order Completed": "total", "Order Refunded": "total"}
_UNKNOWN = ("Wheel Of Fortune Spun", "Newsletter Popup Closed", "Size Guide Opened")
_MISSPELT = {
    "Products Searched": "Product Searched",
    "Product Viewed": "Product Veiwed",
    "Product Added": "product_added",
    "Checkout Started": "Checkout  Started",
    "Order Completed": "Order Complete",
}
_ODD = "zero\0byte \u202eright to left\u202c \U0001f6d2\u200d\u0301 \ufdd0 \u2028 \uff21 \u00bd 'quote' \"quote\" \\"
_LARGE = 34 * 1024


def shares(level: str | float, single: Mapping[str, float] | None = None) -> dict[str, float]:
    """
    Return the share of every mistake: of a level by name or the share of all together, and of those named singly.

    Raises Misconfigured for a share beyond 0 to 1, and for unknown names.
    """
    total = LEVELS.get(level) if isinstance(level, str) else level
    found = []
    if total is None or not 0 <= total <= 1:
        found.append(Problem("--faults", "a share of mistakes was expected", f"write {', '.join(LEVELS)}, or 0 to 1"))
        total = 0.0
    by_name = {name: mistake.weight * total for name, mistake in MISTAKES.items()}
    by_name["link_missing"] = min(1.0, _UNLINKED * total)
    for name, share in (single or {}).items():
        if name not in MISTAKES:
            found.append(Problem("--mistake", f"there is no mistake named {name}", f"one of {', '.join(MISTAKES)}"))
        elif not 0 <= share <= 1:
            found.append(Problem("--mistake", f"the share of {name} is not between 0 and 1", "such as wrong_type=0.05"))
        by_name[name] = share
    if not found and sum(share for name, share in by_name.items() if MISTAKES[name].of == "event") > 1:
        found.append(Problem("--mistake", "the shares add up to more than every event", "lower some"))
    if found:
        raise Misconfigured(found)
    return by_name


class Mischief:
    """Makes the mistakes. Has a chance of its own, so that the shop's traffic is the same with and without them."""

    def __init__(self, seed: int, by_name: Mapping[str, float]) -> None:
        """Take the share of each mistake, by name."""
        self._rng = random.Random(f"{seed} mistakes")  # noqa: S311  # mistakes, not secrets
        self._share = by_name
        self._events = [(name, by_name[name]) for name, mistake in MISTAKES.items() if mistake.of == "event"]
        self._total = sum(share for _, share in self._events)
        self._owed: Counter[str] = Counter()
        self._offline: dict[int, float] = {}

    def unlinked(self) -> bool:
        """Say whether a sign-up is kept from the browser."""
        return self._rng.random() < self._share["link_missing"]

    def resent(self) -> bool:
        """Say whether a request is sent a second time."""
        return self._rng.random() < self._share["resent"]

    def spoil(self, draft: Draft) -> Iterator[tuple[Draft, bool]]:
        """Yield what is sent for an event, once or twice, with the word whether its device is offline."""
        hours = self._hours(draft)
        if hours and draft.sender in BROWSERS:
            draft.mistake = "offline"
            _retime(draft, draft.at - int(hours * _HOUR))
            yield draft, True
            return
        name = self._pick(draft)
        if name == "id_reused":
            yield draft, False
            draft = _other(draft)
        elif name:
            _SPOILERS[name](draft, self._rng)
        if name:
            draft.mistake, draft.fate = name, MISTAKES[name].fate
        yield draft, False

    def _hours(self, draft: Draft) -> float:
        """Return for how many hours the device of a visit has been offline."""
        session = draft.visit.session
        if session not in self._offline:
            hours = self._rng.uniform(1, 9) if self._rng.random() < self._share["offline"] else 0.0
            self._offline[session] = hours
        hours = self._offline[session]
        if draft.last:
            del self._offline[session]
        return hours

    def _pick(self, draft: Draft) -> str:
        """Choose the event's mistake. One that does not fit the event waits for the next it fits."""
        if self._total:
            drawn = self._rng.random()
            for name, share in self._events:
                drawn -= share
                if drawn < 0:
                    self._owed[name] += 1
                    break
        for name, count in self._owed.items():
            if count and _FITS[name](draft):
                self._owed[name] -= 1
                return name
        return ""


# What fits, and what is done to it.


def _name(draft: Draft) -> str:
    name: str = draft.event.get("event", "")
    return name


def _always(_draft: Draft) -> bool:
    return True


def _tracked(draft: Draft) -> bool:
    return _name(draft) in _MISSPELT


_FITS: dict[str, Callable[[Draft], bool]] = {
    "id_reused": _tracked,
    "property_missing": lambda draft: _name(draft) in _REQUIRED,
    "wrong_type": lambda draft: _name(draft) in _AMOUNTS,
    "unknown_event": _tracked,
    "misspelt_event": _tracked,
    "oversized": _tracked,
    "clock_wrong": lambda draft: draft.sender in BROWSERS,
    "clock_future": _always,
    "no_identity": lambda draft: draft.event["type"] in ("track", "page"),
    "broken_json": _tracked,
    "odd_text": lambda draft: _name(draft) == "Products Searched",
    "half_character": lambda draft: _name(draft) == "Products Searched",
}


def _retime(draft: Draft, at: int) -> None:
    """Write another time into an event, where its SDK writes it."""
    field = "originalTimestamp" if draft.sender in (RUDDER_WEB, RUDDER_NODE) else "timestamp"
    draft.event[field] = times.format(at // 1000 * 1000)


def _with(draft: Draft, **properties: Any) -> None:
    draft.event["properties"] = draft.event["properties"] | properties


def _leave_out(draft: Draft, _rng: random.Random) -> None:
    left_out = _REQUIRED[_name(draft)]
    draft.event["properties"] = {key: value for key, value in draft.event["properties"].items() if key != left_out}


def _as_text(draft: Draft, _rng: random.Random) -> None:
    amount = _AMOUNTS[_name(draft)]
    _with(draft, **{amount: f"{draft.event['properties'].get(amount, 0)} EUR".replace(".", ",")})


def _unknown(draft: Draft, rng: random.Random) -> None:
    draft.event["event"] = rng.choice(_UNKNOWN)


def _misspell(draft: Draft, _rng: random.Random) -> None:
    draft.event["event"] = _MISSPELT[_name(draft)]


def _inflate(draft: Draft, _rng: random.Random) -> None:
    _with(draft, page_html="<div>a page that should not be in an event</div>" * (_LARGE // 48))


def _set_clock(draft: Draft, rng: random.Random) -> None:
    ahead = rng.choice((-1, 1))
    draft.skew = ahead * int(rng.uniform(2, 50) * _MINUTE if rng.random() < 0.6 else rng.uniform(1, 20) * _DAY)
    _retime(draft, draft.at + draft.skew)


def _foretell(draft: Draft, rng: random.Random) -> None:
    _retime(draft, draft.at + int(rng.uniform(1, 400) * _DAY))


def _forget_who(draft: Draft, _rng: random.Random) -> None:
    draft.event.pop("userId", None)
    draft.event.pop("anonymousId", None)


def _break(draft: Draft, rng: random.Random) -> None:
    body = msgspec.json.encode(draft.event)
    # A number with two points, a comma too many, a name without quotes: brackets stay in pairs, so that the batch is whole.
    broken = rng.choice((b'"total":12.50.0}', b'"total":12.5,}', b"total:12.5}"))
    draft.raw = body[:-1] + b"," + broken


def _write_oddly(draft: Draft, _rng: random.Random) -> None:
    _with(draft, query=_ODD)


def _cut_short(draft: Draft, _rng: random.Random) -> None:
    _with(draft, query="gift ~")
    # No encoder of ours writes this; JavaScript's does.
    draft.raw = msgspec.json.encode(draft.event).replace(b"gift ~", b"gift \\ud83c")


def _other(draft: Draft) -> Draft:
    """Return another event under the message id of one, of the same sender and time."""
    event = draft.event | {"properties": draft.event["properties"] | {"coupon": "SECOND"}}
    return Draft(draft.sender, event, draft.visit, draft.at, draft.last)


_SPOILERS: dict[str, Callable[[Draft, random.Random], None]] = {
    "property_missing": _leave_out,
    "wrong_type": _as_text,
    "unknown_event": _unknown,
    "misspelt_event": _misspell,
    "oversized": _inflate,
    "clock_wrong": _set_clock,
    "clock_future": _foretell,
    "no_identity": _forget_who,
    "broken_json": _break,
    "odd_text": _write_oddly,
    "half_character": _cut_short,
}
