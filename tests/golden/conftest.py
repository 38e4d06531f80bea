"""`pytest tests/golden --write-golden` writes the expected files anew; their diff is what is to be reviewed."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="write expected golden files instead of comparing")


@pytest.fixture
def golden(request):
    """Compare a text with the file that says what it should be, or write that file."""

    def check(path, text):
        if request.config.getoption("--write-golden", default=False):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check
