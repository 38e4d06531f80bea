"""The Live page in a real browser: it fills by itself, shows good and bad side by side, filters, and holds still."""

import json
import os
import shlex
import subprocess
import urllib.request
from base64 import b64encode
from pathlib import Path
from secrets import token_hex

import pytest
from house import KEY, House

SHOTS = os.environ.get("CUSTOMHOUSE_SCREENSHOTS", "")
ORDER = {
    "event": "Order Completed",
    "version": "1.2.0",
    "owner": "shop",
    "description": "An order was paid.",
    "properties": {"total": {"type": "number"}, "currency": {"type": "string"}},
    "required": ["total"],
}
PERSON = "ada.lovelace@example.com"


def send(house, *events):
    """Send events through the door, as a batch."""
    request = urllib.request.Request(
        f"{house.url}/v1/batch",
        json.dumps({"batch": events}).encode(),
        {"authorization": "Basic " + b64encode(f"{KEY}:".encode()).decode(), "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def track(event, **more):
    total = more.pop("total", 12.5)
    return {
        "type": "track", "event": event, "messageId": token_hex(8), "userId": PERSON,
        "properties": {"total": total, "currency": "EUR"},
    } | more  # fmt: skip


def shot(page, name):
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def rows(page, column):
    return page.locator(f"[data-rows={column}] > li")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Give a running house whose plan knows orders; tests share it, so each sends events of its own."""
    with House(tmp_path_factory.mktemp("shop") / "shop", plan={"order": ORDER}) as running:
        yield running


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (360, True)])
def test_an_empty_page_shows_the_line_that_fills_it_and_fills_by_itself(open_page, house, width, dark):
    page = open_page(width, dark=dark)
    page.goto(f"{house.console_url}/live")
    assert "No event has come yet" in page.inner_text("#first")
    text = page.inner_text("#first")
    for words in ("Segment", "RudderStack", "Python", "Node", "Browser", house.url, KEY):
        assert words in text
    shot(page, f"live-empty-{width}{'-dark' if dark else ''}")
    command = shlex.split(page.inner_text("#snippet-1"))
    done = subprocess.run([*command, "-s", "-f"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    rows(page, "good").first.wait_for()
    assert "Hello World" in rows(page, "good").first.inner_text()
    assert page.locator("#first").count() == 0


def test_what_is_to_be_copied_is_copied(open_page, house):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{house.console_url}/live")
    page.get_by_role("button", name="Copy: Segment Node").click()
    page.get_by_role("button", name="Copied").or_(page.get_by_text("Copied")).first.wait_for()
    assert f'writeKey: "{KEY}"' in page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (360, False), (360, True)])
def test_good_and_bad_stand_side_by_side(open_page, shop, width, dark):
    send(shop, *(track("Product Viewed") for _ in range(8)))
    send(shop, *(track("Order Completed", total="12,50") for _ in range(3)), track("Order Completed"))
    page = open_page(width, dark=dark)
    page.goto(f"{shop.console_url}/live")
    page.locator("#state", has_text="Live.").wait_for()
    twice, name = track("Product Viewed"), f"Checkout {width} {dark}"
    send(shop, track(name), twice, twice)
    page.get_by_role("link", name=name).wait_for()
    bad = rows(page, "bad")
    bad.nth(2).wait_for()
    assert "schema_violation" in bad.first.inner_text()
    assert "total: expected number" in bad.first.inner_text()
    assert "owed to lake" in rows(page, "good").filter(has_text=name).inner_text()
    page.get_by_text("duplicate", exact=False).first.wait_for()
    good_box, bad_box = (page.locator(f".{column}-lane").bounding_box() for column in ("good", "bad"))
    assert (good_box["x"] < bad_box["x"]) == (width > 760)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, f"live-{width}{'-dark' if dark else ''}")


def test_a_filter_is_in_the_address_and_finds_what_comes_later(page, shop):
    send(shop, *(track("Product Viewed") for _ in range(5)))
    page.goto(f"{shop.console_url}/live")
    page.locator("#state", has_text="Live.").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("rare")
    page.wait_for_url("**/live?event=rare")
    assert rows(page, "good").count() == 0
    page.locator("#state", has_text="Live.").wait_for()
    send(shop, track("Product Viewed"), track("A Rare Thing"))
    rows(page, "good").first.wait_for()
    assert ["A Rare Thing" in text for text in rows(page, "good").all_inner_texts()] == [True]
    page.reload()
    assert rows(page, "good").count() == 1


def test_a_person_is_looked_for_by_id_and_stands_in_the_address_as_a_reference(page, shop):
    who = "grace.hopper@example.com"
    send(shop, track("Mine", userId=who), track("Other"))
    page.goto(f"{shop.console_url}/live")
    page.get_by_role("link", name="Mine").wait_for()
    page.fill("#f-person", who)
    with page.expect_navigation():
        page.get_by_role("button", name="Find").click()
    assert "person=p_" in page.url
    assert who not in page.url and who.replace("@", "%40") not in page.url
    assert who not in page.content()
    assert [("Mine" in text) for text in rows(page, "good").all_inner_texts()] == [True]
    assert who not in shop.log()


def test_the_keyboard_chooses_and_opens_and_the_list_holds_still_meanwhile(page, shop):
    send(shop, *(track(f"Step {n}") for n in range(3)))
    page.goto(f"{shop.console_url}/live")
    page.locator("#state", has_text="Live.").wait_for()
    page.keyboard.press("j")
    page.locator("#state", has_text="Holding still.").wait_for()
    send(shop, track("Later"))
    page.get_by_text("1 more came meanwhile").wait_for()
    assert page.get_by_role("link", name="Later").count() == 0
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Later").wait_for()
    page.keyboard.press("j")
    chosen = page.locator("[aria-current] .name")
    assert chosen.inner_text() == "Later"
    page.keyboard.press("j")
    page.keyboard.press("k")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "/events/" in page.url


def test_it_holds_still_on_p_and_under_the_mouse(page, shop):
    send(shop, track("First"))
    page.goto(f"{shop.console_url}/live")
    page.locator("#state", has_text="Live.").wait_for()
    page.keyboard.press("p")
    assert page.get_attribute("#pause", "aria-pressed") == "true"
    send(shop, track("Second"))
    page.get_by_text("1 more came meanwhile").wait_for()
    page.click("#pause")
    page.get_by_role("link", name="Second").wait_for()
    page.hover("[data-rows=good]")
    page.locator("#state", has_text="Holding still.").wait_for()
    send(shop, track("Third"))
    page.get_by_text("1 more came meanwhile").wait_for()
    page.hover("h1")
    page.get_by_role("link", name="Third").wait_for()


def test_it_is_readable_without_javascript(open_page, shop):
    send(shop, track("Seen"), track("Order Completed", total="x"))
    page = open_page(java_script_enabled=False)
    shop.settled()
    page.goto(f"{shop.console_url}/live")
    assert "Seen" in page.inner_text("[data-rows=good]")
    assert "schema_violation" in page.inner_text("[data-rows=bad]")
    page.fill("#f-event", "seen")
    page.get_by_role("button", name="Filter", exact=True).click()
    assert "event=seen" in page.url and rows(page, "good").count() == 1


def test_an_open_stream_does_not_hold_up_the_end(page, house):
    send(house, track("Seen"))
    page.goto(f"{house.console_url}/live")
    page.locator("#state", has_text="Live.").wait_for()
    page.watch.forgiven += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET"]
    house.stop()
    assert "supervisor.killed" not in house.log()
