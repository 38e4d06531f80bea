"""
How people find the shop: campaigns, click ids, referrers, e-mail, or straight by the address.

Shares and success per channel follow a public data set of shop sessions. Click ids have the shape of real ones and were
never issued by anybody.
"""

import random
import string
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

CHANNELS = {"organic": 36, "paid_search": 28, "email": 16, "social": 15, "direct": 5}
"""Of a hundred visits, how many come by each."""
EAGERNESS = {"organic": 0.97, "paid_search": 1.2, "email": 1.0, "social": 0.77, "direct": 0.9}
"""How much likelier than others a visitor of the channel is to buy."""

_LETTERS = string.ascii_letters + string.digits + "-_"
_SEARCHERS = ("https://www.google.com/", "https://www.bing.com/", "https://duckduckgo.com/")
_SOCIAL = (
    ("facebook", "https://l.facebook.com/", "fbclid", "", 60),
    ("instagram", "https://l.instagram.com/", "igshid", "", 20),
    ("tiktok", "https://www.tiktok.com/", "ttclid", "E.C.P.", 80),
    ("pinterest", "https://www.pinterest.com/", "epik", "dj0y", 60),
)
_CAMPAIGNS = ("spring-sale", "brand", "back-in-stock", "summer-garden", "gift-finder")
_TERMS = ("coffee grinder", "bike lights", "linen sheets", "desk lamp", "board games")


class Arrival(Struct, frozen=True):
    """How one visit began."""

    channel: str
    search: str = ""
    """The landing page's query string with its question mark; empty without one."""
    referrer: str = ""
    campaign: dict[str, Any] | None = None
    """As SDKs read it from the query: `name`, `source`, `medium`, `term`, `content`."""


def arrive(rng: random.Random) -> Arrival:
    """Return a way into the shop."""
    channel = rng.choices(tuple(CHANNELS), tuple(CHANNELS.values()))[0]
    return _WAYS[channel](rng)


def _organic(rng: random.Random) -> Arrival:
    return Arrival("organic", referrer=rng.choices(_SEARCHERS, (88, 8, 4))[0])


def _direct(_rng: random.Random) -> Arrival:
    return Arrival("direct")


def _paid_search(rng: random.Random) -> Arrival:
    campaign = {"source": "google", "medium": "cpc", "name": rng.choice(_CAMPAIGNS), "term": rng.choice(_TERMS)}
    if rng.random() < 0.15:
        click = {"msclkid": "".join(rng.choices("0123456789abcdef", k=32))}
        return _paid(campaign | {"source": "bing"}, click, _SEARCHERS[1])
    click = {"gad_source": "1", "gclid": "Cj0K" + _opaque(rng, 80)}
    if rng.random() < 0.3:
        # Auto-tagging alone: a click id and no campaign in words.
        return Arrival("paid_search", "?" + urlencode(click), _SEARCHERS[0])
    return _paid(campaign, click, _SEARCHERS[0])


def _paid(campaign: dict[str, Any], click: dict[str, str], referrer: str) -> Arrival:
    return Arrival("paid_search", _tagged(campaign, click), referrer, campaign)


def _email(rng: random.Random) -> Arrival:
    campaign = {"source": "newsletter", "medium": "email", "name": f"week-{rng.randrange(1, 53)}", "content": "button"}
    return Arrival("email", _tagged(campaign, {}), "", campaign)


def _social(rng: random.Random) -> Arrival:
    network, referrer, parameter, head, length = rng.choice(_SOCIAL)
    click = {parameter: head + _opaque(rng, length)}
    if rng.random() < 0.5:
        return Arrival("social", "?" + urlencode(click), referrer)
    campaign = {"source": network, "medium": "paid-social", "name": rng.choice(_CAMPAIGNS)}
    return Arrival("social", _tagged(campaign, click), referrer, campaign)


_WAYS = {
    "organic": _organic,
    "paid_search": _paid_search,
    "email": _email,
    "social": _social,
    "direct": _direct,
}
_PARAMETERS = {"name": "utm_campaign"}


def _tagged(campaign: dict[str, Any], click: dict[str, str]) -> str:
    named = {_PARAMETERS.get(key, f"utm_{key}"): value for key, value in campaign.items()}
    return "?" + urlencode(named | click)


def _opaque(rng: random.Random, length: int) -> str:
    return "".join(rng.choices(_LETTERS, k=length))
