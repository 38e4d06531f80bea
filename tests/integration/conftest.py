"""What all integration tests share: a house of their own, and its last words when a test fails."""

import pytest
from house import House, last_words


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Put what the processes said into the report of a failed test."""
    report = yield
    if report.failed:
        report.sections += last_words()
    return report


@pytest.fixture
def house(tmp_path):
    """Give a running house with one source and the lake."""
    with House(tmp_path / "house") as running:
        yield running
