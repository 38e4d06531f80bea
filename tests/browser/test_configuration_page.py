"""The page Configuration in a browser: changes on disk are seen, put in force and compared, by mouse and by keyboard."""

import pytest
from house import House


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Give a house whose configuration has changed once."""
    with House(tmp_path_factory.mktemp("configured") / "house") as running:
        running.write(limits={"depth": 20})
        assert running.cli_json("reload")["config"] == 2
        yield running


def test_changes_on_disk_are_seen_and_put_in_force(house, page):
    page.goto(house.console_url + "/configuration")
    assert "Configuration 2 is in force" in page.inner_text("main .lead")
    assert page.get_by_role("button", name="Put in force").count() == 0
    house.write(limits={"depth": 21})
    page.reload()
    lines = page.inner_text("main pre").splitlines()
    assert "-  depth: 20" in lines
    assert "+  depth: 21" in lines
    button = page.get_by_role("button", name="Put in force", exact=True)
    assert not button.is_visible(), "it asks once before"
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    button.wait_for(state="visible")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/configuration?loaded=3")
    assert "Configuration 3 was put in force" in page.inner_text("[role=status]")
    house.wait_until(lambda: house.announcements()["collector"]["config"] == 3, what="the door works by it")
    page.reload()
    rows = page.request.get(house.console_url + "/configuration/processes.json").json()
    assert {row["state"] for row in rows if row["process"] != "console"} == {"in force"}


def test_problems_stand_on_the_page_before_the_files_are_loaded(house, page):
    path = house.folder / "customhouse.yaml"
    good = path.read_text()
    path.write_text(good + "listn: {}\n")
    try:
        page.goto(house.console_url + "/configuration")
        assert "1 problem" in page.inner_text("main .lead")
        assert "customhouse.yaml: listn" in page.inner_text("[aria-label='Files on disk']")
        assert page.get_by_role("button", name="Put in force").count() == 0
    finally:
        path.write_text(good)


def test_two_versions_are_compared_under_an_address_of_their_own(house, page):
    page.goto(house.console_url + "/configuration")
    page.fill("#from", "1")
    page.fill("#to", "2")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/configuration/diff?from=1&to=2")
    assert "limits" in page.inner_text("[aria-label='Changes']")
    page.get_by_role("link", name="the other way round").click()
    page.wait_for_url("**/configuration/diff?from=2&to=1")
    page.get_by_role("link", name="version 2").click()
    assert page.inner_text("h1") == "Configuration 2"
    assert "depth: 20" in page.inner_text("main pre")
