"""
Who comes to the shop: people with several devices each, some with an account, a few of them buying for a company.

Nobody is real: names are an adjective and an animal, addresses end in `example.com`. The same seed makes the same
people, so that whoever runs the demo twice meets them again.
"""

import random
import uuid

from msgspec import Struct, field

from customhouse.demo.consent import Consent, answer

MOST = 20_000
"""People remembered at once. In a longer run the newest take the places of others."""

_ADJECTIVES = (
    "Quiet",
    "Amber",
    "Brisk",
    "Copper",
    "Dapper",
    "Early",
    "Fuzzy",
    "Gentle",
    "Humble",
    "Jolly",
    "Lucky",
    "Mellow",
)
_ANIMALS = ("Otter", "Badger", "Heron", "Marten", "Lynx", "Stoat", "Plover", "Newt", "Ibex", "Wren", "Toad", "Beaver")
_PLACES = (
    (34, "de-DE", "Europe/Berlin", "EUR"),
    (16, "fr-FR", "Europe/Paris", "EUR"),
    (14, "en-GB", "Europe/London", "GBP"),
    (10, "nl-NL", "Europe/Amsterdam", "EUR"),
    (9, "pl-PL", "Europe/Warsaw", "PLN"),
    (6, "sv-SE", "Europe/Stockholm", "SEK"),
    (11, "en-US", "America/New_York", "USD"),
)
_COMPANIES = (
    "Sample Works",
    "Placeholder & Daughters",
    "Dummy Logistics",
    "Mock Bakery",
    "Fixture Design",
    "Stub Hotels",
)
_KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_AGENTS: dict[str, tuple[tuple[int, str, str, str], ...]] = {
    "desktop": (
        (50, "Windows", "10", f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT} Chrome/142.0.0.0 Safari/537.36"),
        (12, "Windows", "10", f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0"),
        (22, "Mac OS", "10.15.7", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15"),
        (16, "Linux", "", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    ),
    "mobile": (
        (55, "Android", "10", f"Mozilla/5.0 (Linux; Android 10; K) {_KIT} Chrome/142.0.0.0 Mobile Safari/537.36"),
        (45, "iOS", "18.6", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"),
    ),
    "tablet": (
        (60, "iPadOS", "17.7", "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1"),
        (40, "Android", "13", f"Mozilla/5.0 (Linux; Android 13; SM-X200) {_KIT} Chrome/142.0.0.0 Safari/537.36"),
    ),
}  # fmt: skip  # one browser, one line
_SCREENS = {
    "desktop": ((1920, 1080, 1), (2560, 1440, 1), (1440, 900, 2), (1366, 768, 1)),
    "mobile": ((412, 915, 3), (390, 844, 3), (360, 800, 3)),
    "tablet": ((820, 1180, 2), (800, 1280, 2)),
}
_KINDS = {"desktop": 52, "mobile": 36, "tablet": 12}


class Device(Struct):
    """One browser on one device. Its SDK keeps the anonymous id, and knows who is signed in."""

    kind: str
    os: str
    os_version: str
    agent: str
    screen: tuple[int, int, int]
    anonymous_id: str
    family: str
    """Whose SDK the pages it sees were built with: `segment` or `rudderstack`."""
    batching: float
    """Between 0 and 1: how readily its SDK collects events instead of sending each at once."""
    relayed: bool
    """Whether its SDK is blocked, so that the shop's server tells what it does."""
    signed_in: bool = False


class Company(Struct, frozen=True):
    """A business customer, which people belong to."""

    group_id: str
    name: str
    employees: int


class Person(Struct):
    """Somebody, with or without an account."""

    user_id: str
    name: str
    email: str
    locale: str
    timezone: str
    currency: str
    devices: list[Device]
    consent: Consent | None
    company: Company | None = None
    plan: str = "free"
    created_at: int = 0
    """When the account was opened, in microseconds since 1970; 0 without one."""
    orders: list[tuple[str, float]] = field(default_factory=list)
    """Order numbers and totals that may still be sent back, the newest last."""
    visiting: bool = False

    @property
    def registered(self) -> bool:
        """Whether they have an account."""
        return self.created_at != 0


class Population:
    """Everybody the shop has met. Visitors are newcomers or people who come back."""

    def __init__(self, rng: random.Random, families: tuple[str, ...] = ("segment", "rudderstack")) -> None:
        """Start with nobody; the shop's pages are built with SDKs of these families."""
        self._rng = rng
        self._families = families
        self._people: list[Person] = []

    def visitor(self) -> Person:
        """Return who comes next: somebody new, or one of those met before who is not in the shop right now."""
        if len(self._people) >= 20 and self._rng.random() < 0.7:
            for _ in range(5):
                person = self._rng.choice(self._people)
                if not person.visiting:
                    return person
        person = self._newcomer()
        if len(self._people) < MOST:
            self._people.append(person)
        else:
            self._people[self._rng.randrange(MOST)] = person
        return person

    def _newcomer(self) -> Person:
        rng = self._rng
        number = f"{rng.getrandbits(40):010x}"
        name = f"{rng.choice(_ADJECTIVES)} {rng.choice(_ANIMALS)}"
        _, locale, timezone, currency = rng.choices(_PLACES, [place[0] for place in _PLACES])[0]
        family = rng.choices(self._families, (3, 2)[: len(self._families)])[0]
        count = rng.choices((1, 2, 3), (55, 35, 10))[0]
        company = None
        if rng.random() < 0.06:
            nth = rng.randrange(len(_COMPANIES))
            company = Company(f"company-{nth + 1}", _COMPANIES[nth], 12 * (nth + 1))
        return Person(
            user_id=f"u-{number}",
            name=name,
            email=f"{name.lower().replace(' ', '.')}.{number[:4]}@example.com",
            locale=locale,
            timezone=timezone,
            currency=currency,
            devices=[self._device(family) for _ in range(count)],
            consent=answer(rng),
            company=company,
            plan=rng.choices(("free", "plus"), (85, 15))[0],
        )

    def _device(self, family: str) -> Device:
        rng = self._rng
        kind = rng.choices(tuple(_KINDS), tuple(_KINDS.values()))[0]
        options = _AGENTS[kind]
        _, os, version, agent = rng.choices(options, [option[0] for option in options])[0]
        return Device(
            kind=kind,
            os=os,
            os_version=version,
            agent=agent,
            screen=rng.choice(_SCREENS[kind]),
            anonymous_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            family=family,
            batching=rng.random(),
            relayed=rng.random() < 0.2,
        )
