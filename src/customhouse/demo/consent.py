"""What people allow the shop, and how the SDKs of the two families say so."""

import random
from typing import Any

from msgspec import Struct

CATEGORIES = ("Functional", "Analytics", "Advertising")
UPDATED = "Segment Consent Preference Updated"
"""The event by which a change of mind is told; both families know it by this name."""

_CHOICES = (
    (45, (True, True, True)),
    (20, (True, True, False)),
    (15, (True, False, False)),
    (20, None),
)
"""Of a hundred people: all, no advertising, the least, and those who never answered the banner."""


class Consent(Struct, frozen=True):
    """One answer to the banner."""

    allowed: tuple[str, ...]

    def preferences(self) -> dict[str, bool]:
        """Return it by category."""
        return {category: category in self.allowed for category in CATEGORIES}

    def segment(self) -> dict[str, Any]:
        """Return it as Segment's SDKs put it into the context."""
        return {"consent": {"categoryPreferences": self.preferences()}}

    def rudderstack(self) -> dict[str, Any]:
        """Return it as RudderStack's SDKs put it into the context."""
        denied = [category for category in CATEGORIES if category not in self.allowed]
        said = {"provider": "custom", "allowedConsentIds": list(self.allowed), "deniedConsentIds": denied}
        return {"consentManagement": said | {"resolutionStrategy": "and"}}


def answer(rng: random.Random) -> Consent | None:
    """Return what somebody answers to the banner; None for who has not answered."""
    given = rng.choices([choice for _, choice in _CHOICES], [weight for weight, _ in _CHOICES])[0]
    if given is None:
        return None
    return Consent(tuple(category for category, yes in zip(CATEGORIES, given, strict=True) if yes))


def other_mind(consent: Consent | None, rng: random.Random) -> Consent:
    """Return another answer than the one there was."""
    allowed = consent.allowed if consent else ()
    options = (CATEGORIES, CATEGORIES[:2], CATEGORIES[:1])
    return Consent(rng.choice([option for option in options if option != allowed]))
