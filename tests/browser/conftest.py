"""
A real Chromium, started once, and a fresh page per test that must leave no error behind.

Skips loudly where Chromium or Playwright is missing; with CI=true that is a failure.
"""

import shutil
from contextlib import suppress

import pytest
from chromium import missing
from house import House, last_words

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync")  # fmt: skip
PATIENCE = 10_000
"""Milliseconds that anything on a page may take."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Put what the processes said into the report of a failed test."""
    report = yield
    if report.failed:
        report.sections += last_words()
    return report


@pytest.fixture(scope="session")
def browser():
    """Give one headless Chromium for all tests."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or missing("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Watch:
    """What went wrong on a page: errors in its console, exceptions, requests that failed."""

    def __init__(self, page):
        self.found = []
        self.forgiven = []
        """Substrings of what a test expects to go wrong."""
        page.on("console", lambda said: said.type in ("error", "warning") and self.found.append(said.text))
        page.on("pageerror", lambda error: self.found.append(f"exception: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", lambda answer: answer.status >= 400 and self.found.append(f"{answer.status} {answer.url}"))

    def _failed(self, request):
        # Leaving a page ends its streams and what it was loading: that is no fault.
        if request.failure != "net::ERR_ABORTED":
            self.found.append(f"{request.failure} {request.url}")

    def rest(self):
        """Return what nobody forgave."""
        return [each for each in self.found if not any(part in each for part in self.forgiven)]


@pytest.fixture
def open_page(browser):
    """Give a function that opens a page of its own: `open_page(width=1440, dark=False)`, with `.watch` on it."""
    contexts, watches = [], []

    def open_(width=1440, height=900, *, dark=False, **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.watch = Watch(page)
        watches.append(page.watch)
        return page

    yield open_
    for context in contexts:
        with suppress(Exception):
            context.close()
    assert [each for watch in watches for each in watch.rest()] == []


@pytest.fixture
def page(open_page):
    """Give one page, wide and light."""
    return open_page()


@pytest.fixture
def house(tmp_path):
    """Give a running house with one source and the lake."""
    with House(tmp_path / "house") as running:
        yield running
