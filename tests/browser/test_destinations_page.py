"""The pages Destinations and Alarms in a browser: a destination that refuses us, a pause by keyboard, a replay."""

import os
from pathlib import Path

import pytest
from house import House
from knock import send
from lying import LyingServer


@pytest.fixture(scope="module")
def hook():
    with LyingServer() as server:
        yield server


@pytest.fixture(scope="module")
def house(tmp_path_factory, hook):
    """Give a house with a webhook that answers as it is told."""
    crm = {
        "type": "webhook",
        "url": f"{hook.url}/in",
        "linger_seconds": 0.05,
        "retry_base_seconds": 0.05,
        "backlog_events": 100,
    }
    with House(
        tmp_path_factory.mktemp("lanes") / "house",
        destinations={"lake": {"type": "lake", "flush_seconds": 0.2}, "crm": crm},
        routes=[{"to": ["lake", "crm"]}],
        alarms={"every_seconds": 0.3, "clear_seconds": 0.3},
    ) as running:
        yield running


def batch(count, start):
    return {
        "batch": [{"type": "track", "event": "Seen", "userId": "u", "messageId": f"m{start + n}"} for n in range(count)]
    }


def picture(page, name):
    """Keep a picture where somebody asked for them."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_pause_is_said_in_numbers_asked_once_and_taken_back(house, page):
    before = house.settled()["accounts"].get("delivered:crm", 0)
    page.goto(house.console_url + "/destinations")
    page.wait_for_selector("text=2 destinations take what is sent there")
    picture(page, "destinations")
    page.get_by_role("region", name="Destinations").get_by_role("link", name="crm").click()
    assert page.inner_text("h1") == "crm"
    button = page.get_by_role("button", name="Pause", exact=True)
    assert not button.is_visible(), "it asks once before"
    page.locator("summary", has_text="Pause…").focus()
    page.keyboard.press("Enter")
    button.wait_for(state="visible")
    assert "0 events wait now" in page.inner_text("details")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/destinations/crm?done=pause")
    assert "nothing is sent until somebody resumes it" in page.inner_text("[role=status]")
    send(house.url, batch(3, 0), "/v1/batch")
    page.wait_for_selector("#fare .lead:has-text('Paused by the console')")
    page.wait_for_selector("#fare .lead:has-text('3 events wait')", timeout=30_000)
    picture(page, "destination-paused")
    page.locator("summary", has_text="Resume…").click()
    page.get_by_role("button", name="Resume", exact=True).click()
    page.wait_for_url("**/destinations/crm?done=resume")
    page.wait_for_selector("#fare .lead:has-text('nothing waits')", timeout=30_000)
    house.wait_until(
        lambda: house.settled()["accounts"].get("delivered:crm") == before + 3, 20, "delivered after the pause"
    )


def test_what_it_refused_is_replayed_from_its_page(house, hook, page):
    hook.mode = "400"
    send(house.url, batch(2, 100), "/v1/batch")
    house.wait_until(lambda: house.settled()["accounts"].get("rejected:crm") == 2, 30, "refused")
    hook.mode = "ok"
    page.goto(house.console_url + "/destinations/crm")
    page.wait_for_selector("[aria-label=Figures] a:has-text('2')", timeout=30_000)

    def told():
        page.reload()
        return "destination_refused" in page.inner_text("[aria-label='Last answers']")

    house.wait_until(told, 30, "its answer is told")
    page.locator("summary", has_text="Replay what it refused…").click()
    assert "2 events that crm refused" in page.inner_text("details[open]")
    page.get_by_role("button", name="Replay what it refused").click()
    page.wait_for_url("**/destinations/crm?done=replay")
    house.wait_until(lambda: not house.settled()["accounts"].get("rejected:crm"), 30, "replayed")


def test_refused_credentials_stand_above_every_page_until_they_are_mended(house, hook, page):
    hook.mode = "401"
    send(house.url, batch(4, 200), "/v1/batch")
    house.wait_until(lambda: house.cli_json("alarms", "list")["alarms"], 30, "the alarm stands")
    page.goto(house.console_url + "/")
    assert "crm refuses our credentials" in page.inner_text("section[aria-label=Alarms]")
    page.locator("section[aria-label=Alarms] a").click()
    assert page.inner_text("h1") == "Alarms"
    assert "1 alarm stands" in page.inner_text("main .lead")
    assert "customhouse reload" in page.inner_text("[aria-label='Standing alarms']")
    picture(page, "alarms-standing")
    page.get_by_role("link", name="critical").click()
    page.wait_for_selector(".lead:has-text('It refuses our credentials (401 unauthorized)')")
    picture(page, "destination-parked")
    hook.mode = "ok"
    house.cli_json("reload")
    house.wait_until(lambda: not house.cli_json("alarms", "list")["alarms"], 30, "the alarm has ended")
    page.goto(house.console_url + "/alarms")
    assert "No alarm stands" in page.inner_text("main .lead")
    assert page.locator("section[aria-label=Alarms]").count() == 0
