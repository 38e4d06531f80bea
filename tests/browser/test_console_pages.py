"""
Every page of the console, as people meet it: light and dark, narrow and wide, by keyboard, and by those who cannot see it.

The pages show a shop's traffic of some seconds. Set SCREENSHOTS to a folder to keep pictures of them; those of the
README are made so.
"""

import os
import shutil
from pathlib import Path

import pytest
from chromium import missing
from house import House

ROOT = Path(__file__).resolve().parent.parent.parent
AXE = Path(os.environ.get("CUSTOMHOUSE_SDKS", ROOT / ".sdks")) / "node/node_modules/axe-core/axe.min.js"
PAGES = ("/", "/live", "/events", "/quarantine", "/destinations", "/destinations/lake", "/configuration", "/alarms")
LOOKS = ((1440, False), (1440, True), (360, False), (360, True))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Give a shop in which some hundred customers have been busy, and one destination does not answer."""
    folder = tmp_path_factory.mktemp("shop") / "shop"
    shutil.copytree(ROOT / "examples/shop", folder, ignore=shutil.ignore_patterns(".data"))
    house = House.at(folder)
    house.configuration["destinations"]["hook"] = {"type": "webhook", "url": "http://127.0.0.1:9/events"}
    house.configuration["routes"].append({"to": "hook"})
    house.write()
    with house:
        # Pictures show some minutes; to look at the pages, seconds are enough.
        long = (
            ("--for", "240s", "--rate", "30") if os.environ.get("SCREENSHOTS") else ("--events", "600", "--rate", "200")
        )
        done = house.cli("demo", *long, "--seed", "7", timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        house.settled(ignore=("owed:hook",))
        yield house


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_a_page_looks_right(shop, open_page, path, width, dark):
    page = open_page(width, dark=dark)
    page.goto(shop.console_url + path)
    page.wait_for_selector("main h1")
    assert page.title().endswith("Customhouse")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
        "the page is wider than the screen"
    )
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    assert violations(page) == []
    picture(page, path, width, dark=dark)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_can_be_used_by_keyboard(shop, page, path):
    page.goto(shop.console_url + path)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.tagName"))
        ring = "(e => e === document.body || getComputedStyle(e).outlineStyle !== 'none')(document.activeElement)"
        assert page.evaluate(ring), "the focus cannot be seen"
    assert "A" in seen


def test_the_overview_tells_that_all_is_accounted_for(shop, page):
    page.goto(shop.console_url)
    page.wait_for_selector("text=events accounted for")
    books = shop.balance()
    shown = page.inner_text("#standing .lead")
    assert f"All {books['acknowledged']:,} events accounted for" in shown
    sources = page.request.get(shop.console_url + "/overview/sources.json").json()
    assert [row["source"] for row in sources] == ["shop"]
    assert page.request.get(shop.console_url + "/overview/accounts.csv").text().startswith("account,events\n")


def test_charts_draw_what_their_table_says(shop, page):
    page.goto(shop.console_url + "/?range=15m")
    page.wait_for_selector(".chart canvas")
    figure = page.locator(".chart").first
    figure.locator("summary").click()
    assert figure.locator("tbody tr").count() > 0
    assert page.evaluate(
        "document.querySelector('.chart canvas').clientWidth <= document.querySelector('.chart').clientWidth"
    )
    page.set_viewport_size({"width": 500, "height": 800})
    fits = "document.querySelector('.chart .uplot').clientWidth <= document.querySelector('.chart').clientWidth"
    shop.wait_until(lambda: page.evaluate(fits), 10, "the chart fits its place")  # the page itself may evaluate nothing


def test_without_javascript_the_pages_still_tell(shop, open_page):
    page = open_page(java_script_enabled=False)
    for path in PAGES:
        page.goto(shop.console_url + path)
        assert page.locator("main h1").count() == 1
    page.goto(shop.console_url)
    assert "accounted for" in page.inner_text("main")


def test_all_that_a_page_loads_is_ours_and_small(shop, page):
    loaded = []
    page.on("response", lambda answer: loaded.append((answer.url, len(answer.body()))))
    page.goto(shop.console_url)
    page.wait_for_selector(".chart canvas")
    assert all(url.startswith(shop.console_url) for url, _ in loaded)
    assert sum(size for _, size in loaded) < 300_000


def violations(page):
    """Return what the accessibility checker finds, rule and place."""
    if not AXE.exists():
        missing("axe-core (.ci/sdks)")
    # The page's own policy runs no code from elsewhere, so the checker is put in from outside of it.
    page.evaluate(AXE.read_text() + "; undefined")
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})")
    return [
        (each["id"], node["target"], node["failureSummary"]) for each in found["violations"] for node in each["nodes"]
    ]


def picture(page, path, width, *, dark):
    """Keep a picture, if somebody wants one."""
    if folder := os.environ.get("SCREENSHOTS"):
        name = path.strip("/").replace("/", "-") or "overview"
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(1000)  # charts and streams draw after the page
        page.screenshot(path=Path(folder) / f"{name}-{width}{'-dark' if dark else ''}.png")
