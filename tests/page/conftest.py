"""A real browser for the page: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import os
import shutil
from urllib.parse import urlsplit

import pytest
from page_server import PageServer

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def without(what):
    """Skip for want of something; where everything is to be tested, fail."""
    reason = f"{what}: the page is not tested in a browser"
    if os.environ.get("PYRESILIENCE_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    """A running browser with a profile of its own."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without("playwright is not installed (pip install playwright)")
    program = shutil.which("chromium")
    if program is None:
        without("there is no chromium (scripts/install-browser.sh)")
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def server():
    """A server of the page, under a prefix."""
    serving = PageServer("/ops/cache")
    serving.start()
    yield serving
    serving.stop()


@pytest.fixture
def look(browser):
    """`look(url, width=…, dark=…)` opens a page; afterwards it must have met no error and asked nobody else.

    Errors whose text contains one of *expected_errors* are no errors; a *still* page's clock is the test's to move.
    """
    opened, errors, requests = [], [], []

    def open_page(url, width=1600, height=1000, dark=False, expected_errors=(), still=False):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(10_000)
        page = context.new_page()
        opened.append((context, urlsplit(url).netloc, expected_errors))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.on("request", lambda request: requests.append(request.url))
        if still:
            page.clock.install()
        page.goto(url)
        return page

    yield open_page
    for context, _, _ in opened:
        with contextlib.suppress(Exception):
            context.close()
    expected = ["willReadFrequently"]  # the tests themselves look at what is drawn
    expected += [each for _, _, texts in opened for each in texts]
    assert not [error for error in errors if not any(text in error for text in expected)]
    own = {netloc for _, netloc, _ in opened}
    assert not [url for url in requests if not url.startswith("data:") and urlsplit(url).netloc not in own]
