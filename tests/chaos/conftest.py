"""What all chaos tests share: the seed, how long and how hard, houses with a destination, and what they said at the end."""

import os
import random
import time

import pytest
from house import House, last_words
from load import AGREED, SOURCES

DEFAULT_KILLS = 40
DEFAULT_SECONDS = 240.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Put what the processes said into the report of a failed test."""
    report = yield
    if report.failed:
        report.sections += last_words()
    return report


def pytest_collection_modifyitems(items):
    """Give every test the whole time that was asked for."""
    limit = 300 + float(os.environ.get("CHAOS_SECONDS", DEFAULT_SECONDS))
    for item in items:
        item.add_marker(pytest.mark.timeout(limit))


@pytest.fixture(scope="session")
def seed():
    """Return the seed of everything that is left to chance here; printed, so that a failure can be repeated."""
    value = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(1_000_000)))
    print(f"\nchaos: CHAOS_SEED={value}")
    return value


@pytest.fixture(scope="session")
def wanted():
    """Return how many kills in all, and in how many seconds."""
    kills = int(os.environ.get("CHAOS_KILLS", DEFAULT_KILLS))
    return kills, float(os.environ.get("CHAOS_SECONDS", DEFAULT_SECONDS))


@pytest.fixture
def house_of(tmp_path):
    """Make houses for senders, which are stopped in order, or at once when the test has failed."""
    made = []

    def make(hooks, *, lane=None, **configuration):
        lane = {"linger_seconds": 0.1} | (lane or {"retry_cap_seconds": 1.0, "breaker_seconds": 1.0})
        destinations = {name: {"type": "webhook", "url": hook.url} | lane for name, hook in hooks.items()}
        destinations["lake"] = {"type": "lake", "flush_seconds": 0.3}
        usual = {"sources": SOURCES, "destinations": destinations, "routes": [{"to": list(destinations)}]}
        house = House(tmp_path / "house", plan={"order": AGREED}, **(usual | configuration))
        made.append(house)
        return house

    yield make
    for house in made:
        house.kill_all()


@pytest.fixture
def report(request):
    """Print a line about what happened, with the time it took."""
    began = time.monotonic()

    def tell(line):
        print(f"\n{request.node.name}: {line}, {time.monotonic() - began:.0f} s")

    return tell
