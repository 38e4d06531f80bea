"""The Quarantine page in a real browser: a bad event is found, understood, mended and replayed; others are discarded."""

import json
import os
import re
from pathlib import Path

import pytest
from house import House
from knock import send
from test_console_pages import violations

SHOTS = os.environ.get("CUSTOMHOUSE_SCREENSHOTS", "")
ORDER = {
    "event": "Order Completed",
    "version": "1.2.0",
    "owner": "shop",
    "description": "An order was paid.",
    "properties": {
        "total": {"type": "number"},
        "items": {"type": "array", "items": {"type": "object", "properties": {"price": {"type": "number"}}}},
    },
    "required": ["total"],
}
PERSON = "ada.lovelace@example.com"


def order(number, **properties):
    return {
        "type": "track", "event": "Order Completed", "messageId": f"order-{number}", "userId": PERSON,
        "context": {"library": {"name": "analytics-python", "version": "2.4.0"}}, "properties": properties,
    }  # fmt: skip


@pytest.fixture
def shop(tmp_path):
    """Give a running house whose plan knows orders."""
    with House(tmp_path / "shop", plan={"order": ORDER}) as running:
        yield running


def knock(house, *events):
    for event in events:
        assert send(house.url, event).status == 200
    house.settled()


def shot(page, name):
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def fits(page):
    """Tell whether nothing sticks out of the page."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def lake(house, number):
    return house.sql(f"select event_id, event, properties, user_id from events where message_id = 'order-{number}'")


def test_a_bad_event_is_understood_mended_and_replayed(shop, page):
    page.goto(f"{shop.console_url}/quarantine")
    assert page.locator(".lead").inner_text().endswith("or dropped on purpose.")
    knock(shop, order(1, total=3, items=[{"price": 1}, {"price": "9.50"}]))

    page.goto(f"{shop.console_url}/quarantine")
    assert "1 event is held back" in page.locator(".lead").inner_text()
    page.get_by_role("link", name="schema_violation").click()
    marked = page.locator("pre.event .offends")
    assert marked.count() == 1
    assert marked.inner_text().strip() == '"price": "9.50" ▲ expected number, came string'
    assert PERSON not in page.content()
    page.get_by_role("link", name="Repair this one").click()

    text = page.input_value("#text")
    assert PERSON not in text
    page.get_by_role("button", name="Check").click()
    page.get_by_text("It would be held again").wait_for()
    page.fill("#text", text.replace('"9.50"', "9.50"))
    assert page.locator("#checked section").count() == 0, "what was checked is not what stands there now"
    page.get_by_role("button", name="Check").click()
    page.get_by_text("It would pass").wait_for()
    assert [line.inner_text().strip() for line in page.locator(".diff ins").all()] == ['+         "price": 9.50']
    shot(page, "quarantine-event")
    before = shop.cli_json("quarantine", "list")
    page.get_by_role("button", name="Replay repaired").click()
    page.get_by_text("1 event was replayed").wait_for()

    shop.settled()
    (row,) = lake(shop, 1)
    assert row["event_id"] == before[0]["id"], "the event keeps its id"
    assert row["user_id"] == PERSON, "what was masked was not changed"
    assert json.loads(row["properties"])["items"] == [{"price": 1}, {"price": 9.5}]
    page.get_by_role("link", name="Quarantine", exact=True).last.click()
    page.get_by_text("Nothing is held back").wait_for()
    acts = page.locator("#audit tbody tr")
    assert acts.count() == 1
    assert re.search(r"replay\s+1\s+1\s+0\s+console", acts.inner_text())


def test_a_group_is_repaired_in_one_go(shop, page):
    knock(shop, *(order(number, total=f"{number}.50") for number in range(4)), order(9, total="free"))
    page.goto(f"{shop.console_url}/quarantine?reason=schema_violation&event=Order+Completed")
    shot(page, "quarantine-group")
    page.get_by_role("link", name="Repair 5…").click()
    assert page.input_value("#do0") == "convert"
    assert page.input_value("#path0") == "properties.total"
    page.get_by_role("button", name="Show what it would do").click()
    page.get_by_role("heading", name="4 of 5 would pass").wait_for()
    assert "1: properties.total holds what cannot become a number" in page.locator("#preview").inner_text()
    assert '+     "total": 3.50' in page.locator("#preview .diff").first.inner_text()
    shot(page, "quarantine-repair")
    assert len(shop.cli_json("quarantine", "list")) == 5, "a preview changes nothing"
    page.get_by_role("button", name="Repair and replay 5").click()
    page.get_by_text("5 events were replayed; 4 passed, 1 is held again.").wait_for()
    shop.settled()
    assert [json.loads(lake(shop, number)[0]["properties"])["total"] for number in range(4)] == [0.5, 1.5, 2.5, 3.5]
    assert [held["message_id"] for held in shop.cli_json("quarantine", "list")] == ["order-9"]


def test_discarding_says_numbers_and_that_it_is_for_good(shop, page):
    knock(shop, *(order(number) for number in range(3)))
    page.goto(f"{shop.console_url}/quarantine?reason=schema_violation")
    page.get_by_role("link", name="Discard 3…").click()
    page.get_by_role("heading", name="3 events would end for good").wait_for()
    assert "cannot be undone" in page.locator("#preview").inner_text()
    assert len(shop.cli_json("quarantine", "list")) == 3
    page.get_by_role("button", name="Discard 3 for good").click()
    page.get_by_text("3 events were discarded").wait_for()
    assert shop.settled()["accounts"]["dropped:discarded"] == 3


def test_some_are_chosen_with_the_keyboard_alone(shop, page):
    knock(shop, *(order(number) for number in range(3)))
    page.goto(f"{shop.console_url}/quarantine?reason=schema_violation")
    page.locator("[data-rows] tr").first.wait_for()
    for key in "jxjx":
        page.keyboard.press(key)
    assert page.locator("[data-rows] input:checked").count() == 2
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "f-event"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Discard the chosen…").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="2 events would end for good").wait_for()
    page.get_by_role("link", name="Leave them as they are").click()
    page.locator("[data-rows] tr, .lead").first.wait_for()
    assert len(shop.cli_json("quarantine", "list")) == 3


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (360, False), (360, True)])
def test_every_page_fits_and_says_nothing_in_its_console(open_page, shop_of_all, width, dark):
    page = open_page(width, dark=dark)
    name = f"{width}-{'dark' if dark else 'light'}"
    held = shop_of_all.cli_json("quarantine", "list", "--reason", "schema_violation")[0]["id"]
    for at, (path, awaited) in enumerate(
        [
            ("/quarantine", ".lead"),
            ("/quarantine?reason=schema_violation", "[data-rows]"),
            ("/quarantine/replay?reason=schema_violation", "#preview"),
            ("/quarantine/discard?selection=1", ".lead"),
            ("/quarantine/repair?reason=schema_violation", ".steps"),
            (f"/quarantine/events/{held}", "#text"),
        ]
    ):
        page.goto(shop_of_all.console_url + path)
        page.locator(awaited).first.wait_for()
        assert fits(page), path
        assert violations(page) == [], path
        shot(page, f"quarantine-{name}-{at}")


@pytest.fixture(scope="module")
def shop_of_all(tmp_path_factory):
    """Give a house that holds something of several kinds, for tests that only look."""
    with House(tmp_path_factory.mktemp("all") / "shop", plan={"order": ORDER}) as running:
        events = [order(number, total="12", items=[{"price": "1"}]) for number in range(5)]
        nameless = [{"type": "track", "messageId": "nameless", "anonymousId": "a"}]
        knock(running, *events, *nameless)
        yield running


def test_showing_personal_data_is_asked_for_and_logged(shop_of_all, page):
    held = shop_of_all.cli_json("quarantine", "list", "--reason", "schema_violation")[0]["id"]
    page.goto(f"{shop_of_all.console_url}/quarantine/events/{held}")
    assert PERSON not in page.content()
    page.get_by_role("button", name="Show personal data").click()
    page.get_by_role("link", name="Mask personal data again").wait_for()
    assert PERSON in page.content()
    audit = (shop_of_all.data / "jobs" / "supervisor" / "audit.jsonl").read_text()
    assert '"reveal"' in audit
    assert held in audit
    assert PERSON not in audit
