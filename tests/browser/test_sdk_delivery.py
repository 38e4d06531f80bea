"""
What browsers do to events: pages that are left, networks that go away, doors that refuse or are closed for a while.

Whatever the page has said arrives, every event exactly once; and the door's answers can be read by the page.
"""

import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from house import House
from sdk.site import FILES, UNLOADS, load, needs, received, requests_of, rows_of, serving, taken

FAMILIES = tuple(FILES)
CASES = ("unload", "offline", "refused", "closed")
TRACK = "([from, to]) => { for (let n = from; n < to; n++) window.analytics.track(`Event ${n}`, { n }) }"
REFUSED = {"free_disk_bytes": 1 << 60}
"""More free disk than there is: the door answers 503 until this is taken back."""


@pytest.fixture(scope="module")
def site():
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One house with a source for each case, named and keyed by it. Each test leaves it open and taking events."""
    sources = {name: {"write_key": f"key-{name}"} for name in (f"{f}-{case}" for f in FAMILIES for case in CASES)}
    with House(tmp_path_factory.mktemp("delivery") / "house", sources=sources) as running:
        yield running


@pytest.fixture
def opened(page, site, house):
    """Give a function that opens a page of a family, has it make a first call, and returns the name of its source."""

    def open_(family, case, **options):
        needs(family)
        load(page, family, site, f"key-{family}-{case}", house.url, **options)
        page.evaluate(TRACK, [0, 1])
        return f"{family}-{case}"

    return open_


def ready(house):
    """Ask whether the door takes events."""
    try:
        with urllib.request.urlopen(f"{house.url}/ready", timeout=5) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


@contextmanager
def refusing(house):
    """Have the door answer 503 for the length of a block, by a configuration that is reloaded."""

    def reload(limits, *, takes):
        house.write(limits=limits)
        assert house.cli("reload").returncode == 0
        house.wait_until(lambda: ready(house) == takes, 20, f"the door takes events: {takes}")

    reload(REFUSED, takes=False)
    try:
        yield
    finally:
        reload({}, takes=True)


def names(page, house, source, count):
    """Return the names of a source's events in the lake, which must be so many, each once."""
    found = sorted(row["event"] for row in rows_of(page, house, source, count))
    assert house.balance()["unaccounted"] == 0
    return found


def events(count):
    return [f"Event {n}" for n in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_said_before_the_page_is_left_arrives(opened, house, page, site, family):
    options, path = UNLOADS[family]
    sent = requests_of(page, path)
    source = opened(family, "unload", **options)
    page.evaluate(TRACK, [1, 5])
    page.wait_for_timeout(500)
    assert sent == [], "nothing has been sent before the page is left"
    page.goto(f"{site}/elsewhere")
    assert names(page, house, source, 5) == events(5)
    assert {envelope.facts.path for envelope in received(house) if envelope.source == source} == {path}


@pytest.mark.parametrize("family", FAMILIES)
def test_offline_and_back(opened, house, page, family):
    source = opened(family, "offline")
    taken(page, house, source, 1)
    page.watch.forgiven += ["ERR_INTERNET_DISCONNECTED", "Failed to fetch"]
    page.context.set_offline(True)
    page.evaluate(TRACK, [1, 5])
    page.wait_for_timeout(500)
    assert len([envelope for envelope in received(house) if envelope.source == source]) == 1
    page.context.set_offline(False)
    assert names(page, house, source, 5) == events(5)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_door_refuses_comes_again_when_it_takes_events(opened, house, page, family):
    source = opened(family, "refused")
    taken(page, house, source, 1)
    refusals = []
    page.on("response", lambda answer: answer.status == 503 and refusals.append(answer))
    page.watch.forgiven += ["503"]
    with refusing(house):
        page.evaluate(TRACK, [1, 4])
        house.wait_until(lambda: page.evaluate("0") or len(refusals) >= 3, 20, "the page was refused")
    assert all(int(answer.header_value("retry-after")) > 0 for answer in refusals)
    assert names(page, house, source, 4) == events(4)
    assert house.balance()["accounts"]["refused:disk_low"] >= 3


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_said_while_the_door_is_closed_arrives_when_it_opens(opened, house, page, family):
    source = opened(family, "closed")
    taken(page, house, source, 1)
    page.watch.forgiven += ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "Failed to fetch"]
    failed = []
    page.on("requestfailed", lambda request: failed.append(request))  # noqa: PLW0108 (Playwright marks what it is given)
    house.kill_all()
    page.evaluate(TRACK, [1, 4])
    house.wait_until(lambda: page.evaluate("0") or len(failed) >= 1, 20, "the page saw it", alive=False)
    house.start()
    assert names(page, house, source, 4) == events(4)
