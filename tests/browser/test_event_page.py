"""The Event page in a real browser: one event's whole way, raw and canonical side by side, masked until somebody asks."""

import json
import os
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest
from house import KEY, House

SHOTS = os.environ.get("CUSTOMHOUSE_SCREENSHOTS", "")
NAME, MAIL = "Ada Lovelace", "ada.lovelace@example.com"
ORDER = {
    "event": "Order Completed",
    "version": "1.2.0",
    "owner": "shop",
    "description": "An order was paid.",
    "properties": {"total": {"type": "number"}, "currency": {"type": "string"}},
    "required": ["total", "currency"],
}
GOOD = {
    "type": "track", "event": "Order Completed", "messageId": "order-1", "userId": "u-4711-ada",
    "timestamp": "2026-11-01T10:00:00.000Z",
    "properties": {"total": 12.5, "currency": "EUR", "email": MAIL, "products": [{"product_id": "p-1", "price": 12.5}]},
    "context": {"traits": {"name": NAME}, "library": {"name": "analytics-python", "version": "2.4.0"}},
}  # fmt: skip
BAD = GOOD | {"messageId": "order-2", "properties": {"total": "12,50", "email": MAIL}}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Give a house that has judged one good order and one bad one, and the good one sent twice."""
    with House(tmp_path_factory.mktemp("shop") / "shop", plan={"order": ORDER}) as house:
        body = {"batch": [GOOD, BAD, GOOD], "context": {"locale": "en-GB"}, "sentAt": "2026-11-01T10:00:01.000Z"}
        credentials = b64encode(f"{KEY}:".encode()).decode()
        headers = {"authorization": f"Basic {credentials}", "content-type": "application/json"}
        request = urllib.request.Request(f"{house.url}/v1/batch", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        house.settled(acknowledged=3)
        yield house


def shot(page, name):
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def first(page, name):
    return page.locator(f"article:has-text('{name}')").first


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (360, False), (360, True)])
def test_a_good_event_tells_its_whole_way(open_page, shop, width, dark):
    event = shop.cli_json("trace", "order-1")[0]["event_id"]
    page = open_page(width, dark=dark)
    page.goto(f"{shop.console_url}/events/{event}")
    way = page.inner_text(".story")
    for words in ("door", "clock", "validation", "routing", "owed to lake", "delivered", "1.2.0"):
        assert words in way
    text = page.inner_text("article")
    assert '"messageId": "order-1"' in text and '"message_id": "order-1"' in text
    assert "context.locale" in text, "what the batch said for all is a difference"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, f"event-good-{width}{'-dark' if dark else ''}")


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (360, True)])
def test_a_bad_event_is_marked_where_it_is_wrong(open_page, shop, width, dark):
    page = open_page(width, dark=dark)
    page.goto(f"{shop.console_url}/events/order-2")
    marks = page.locator(".sent mark").all_inner_texts()
    assert any('"total"' in mark and "expected number" in mark for mark in marks)
    assert any('"currency"' in mark and "missing" in mark for mark in marks)
    assert "schema_violation" in page.inner_text(".story")
    shot(page, f"event-bad-{width}{'-dark' if dark else ''}")


def test_a_message_id_sent_twice_lists_both(page, shop):
    page.goto(f"{shop.console_url}/events/order-1")
    assert "2 events go by this id" in page.inner_text("main")
    assert page.locator("article").count() == 2
    assert "duplicate" in page.inner_text("main")


def test_personal_data_is_masked_until_somebody_asks_and_that_is_noted(page, shop):
    event = shop.cli_json("trace", "order-2")[0]["event_id"]
    page.goto(f"{shop.console_url}/events/{event}")
    for secret in (NAME, MAIL, "u-4711-ada"):
        assert secret not in page.content()
    assert '"userId": "p_' in page.inner_text("article")
    assert "•••• (text, " in page.inner_text("article")
    page.get_by_role("button", name="Show personal data").click()
    page.get_by_text("Shown in full, this once").wait_for()
    for secret in (NAME, MAIL, "u-4711-ada"):
        assert secret in page.inner_text("article")
    shot(page, "event-revealed")
    lines = [json.loads(line) for line in (shop.data / "jobs/supervisor/audit.jsonl").read_text().splitlines()]
    assert [(line["verb"], line["asked_by"], line["about"]) for line in lines] == [
        ("reveal", "console", {"what": event})
    ]
    page.get_by_role("link", name="Mask again").click()
    page.get_by_role("button", name="Show personal data").wait_for()
    assert MAIL not in page.content()


def test_the_way_in_and_what_nobody_knows(page, shop):
    page.goto(f"{shop.console_url}/events")
    page.keyboard.press("/")
    page.keyboard.type("order-2")
    page.keyboard.press("Enter")
    page.wait_for_url("**/events/order-2")
    page.watch.forgiven += ["404", "422"]
    page.goto(f"{shop.console_url}/events/never-sent")
    assert "No event is known by that id" in page.inner_text("main")
    assert "customhouse balance" in page.inner_text("main")
    page.fill("#id", MAIL)
    page.get_by_role("button", name="Find").click()
    page.get_by_text("That looks like a person").wait_for()
    assert "ada@" not in page.url and "ada@" not in page.content().lower()


def test_the_story_is_served_as_json_and_masked(page, shop):
    answer = page.request.get(f"{shop.console_url}/events/order-2.json")
    told = answer.json()
    assert answer.status == 200 and told[0]["message_id"] == "order-2"
    assert told[0]["wrong"]["properties.total"].startswith("expected number")
    assert MAIL not in answer.text() and NAME not in answer.text()
