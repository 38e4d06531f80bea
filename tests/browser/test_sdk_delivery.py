"""
What browsers do to events: pages that are left, networks that go away, doors that refuse or are closed for a while.

Whatever the page has said arrives, every event exactly once; and the door's answers can be read by the page.
"""

import urllib.error
import urllib.request

import pytest
from house import House
from sdk.site import FILES, UNLOADS, load, needs, received, requests_of, serving

FAMILIES = tuple(FILES)
KEY = "integration-key"
TRACK = "([from, to]) => { for (let n = from; n < to; n++) window.analytics.track(`Event ${n}`, { n }) }"
REFUSED = {"free_disk_bytes": 1 << 60}
"""More free disk than there is: the door answers 503 until this is taken back."""


@pytest.fixture(scope="module")
def site():
    with serving() as address:
        yield address


@pytest.fixture
def opened(page, site, tmp_path):
    """Give a function that opens a house and a page of a family that has sent a first event."""
    houses = []

    def open_(family, **options):
        needs(family)
        house = House(tmp_path / "house")
        houses.append(house)
        house.start()
        load(page, family, site, KEY, house.url, **options)
        page.evaluate(TRACK, [0, 1])
        return house

    yield open_
    for house in houses:
        house.stop()


def ready(house):
    """Ask whether the door takes events."""
    try:
        with urllib.request.urlopen(f"{house.url}/ready", timeout=5) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


def names(page, house, count):
    """Return the names of the events in the lake, which must be so many, each once, when nothing is in flight any more."""
    books = house.settled(acknowledged=count)
    page.evaluate("0")  # hear what the browser had to tell meanwhile
    rows = house.sql("select event, message_id from events order by event")
    assert len(rows) == len({row["message_id"] for row in rows}) == count
    assert (books["accounts"]["delivered:lake"], books["unaccounted"]) == (count, 0)
    return [row["event"] for row in rows]


def events(count):
    return [f"Event {n}" for n in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_said_before_the_page_is_left_arrives(opened, page, site, family):
    options, path = UNLOADS[family]
    sent = requests_of(page, path)
    house = opened(family, **options)
    page.evaluate(TRACK, [1, 5])
    page.wait_for_timeout(500)
    assert sent == [], "nothing has been sent before the page is left"
    page.goto(f"{site}/elsewhere")
    assert names(page, house, 5) == events(5)
    assert {envelope.facts.path for envelope in received(house)} == {path}


@pytest.mark.parametrize("family", FAMILIES)
def test_offline_and_back(opened, page, family):
    house = opened(family)
    names(page, house, 1)
    page.watch.forgiven += ["ERR_INTERNET_DISCONNECTED", "Failed to fetch"]
    page.context.set_offline(True)
    page.evaluate(TRACK, [1, 5])
    page.wait_for_timeout(500)
    assert len(house.sql("select 1 from events")) == 1
    page.context.set_offline(False)
    assert names(page, house, 5) == events(5)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_door_refuses_comes_again_when_it_takes_events(opened, page, family):
    house = opened(family)
    names(page, house, 1)
    refusals = []
    page.on("response", lambda answer: answer.status == 503 and refusals.append(answer))
    page.watch.forgiven += ["503"]
    house.write(limits=REFUSED)
    assert house.cli("reload").returncode == 0
    house.wait_until(lambda: not ready(house), 20, "the door refuses")
    page.evaluate(TRACK, [1, 4])
    house.wait_until(lambda: page.evaluate("0") or len(refusals) >= 3, 20, "the page was refused")
    assert all(int(answer.header_value("retry-after")) > 0 for answer in refusals)
    house.write(limits={})
    assert house.cli("reload").returncode == 0
    assert names(page, house, 4) == events(4)
    assert house.balance()["accounts"]["refused:disk_low"] >= 3


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_said_while_the_door_is_closed_arrives_when_it_opens(opened, page, family):
    house = opened(family)
    names(page, house, 1)
    page.watch.forgiven += ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "Failed to fetch"]
    failed = []
    page.on("requestfailed", lambda request: failed.append(request))  # noqa: PLW0108 (Playwright marks what it is given)
    house.kill_all()
    page.evaluate(TRACK, [1, 4])
    house.wait_until(lambda: page.evaluate("0") or len(failed) >= 1, 20, "the page saw it", alive=False)
    house.start()
    assert names(page, house, 4) == events(4)
