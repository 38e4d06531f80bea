"""What browser tests need from the machine, and what happens where it is missing."""

import os

import pytest


def missing(what):
    """Skip loudly, or fail where nothing may be missing."""
    words = f"{what} is missing: install Debian's chromium, and `pip install --require-hashes -r .ci/browser.lock`"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)
