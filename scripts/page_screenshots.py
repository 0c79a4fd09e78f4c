#!/usr/bin/env python3
"""The pictures of the page in the documentation: needs `chromium`, and the packages `playwright` and `pillow`.

They show an incident in a service that does not exist; the figures are those of the page's tests.
"""

from __future__ import annotations

import shutil
import sys
import time
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
PICTURES = {
    "page": (1600, 1090, "light"),
    "page-dark": (1600, 1090, "dark"),
    "page-narrow": (400, 860, "light"),
    "page-narrow-dark": (400, 860, "dark"),
}
BEGUN = 1_795_248_000.0  # some day's 08:00: pictures made twice differ in what changed, not in the time of day
LOOKED_AT = 14
"""Seconds that the page is open before it is taken."""
LIMIT = 150_000
"""Bytes that a picture may have."""


def main() -> None:
    """Take the pictures."""
    sys.path.insert(0, str(ROOT / "tests" / "page"))
    from page_figures import service
    from page_server import PageServer

    moved = 0.0
    server = PageServer(figures=lambda window: service(BEGUN + moved, incident=True, seconds=moved))
    server.start()
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, (width, height, scheme) in PICTURES.items():
            moved = 0.0
            context = browser.new_context(color_scheme=scheme, timezone_id="UTC")
            page = context.new_page()
            page.set_viewport_size({"width": width, "height": height})
            page.clock.set_fixed_time(BEGUN)
            page.goto(server.url)
            page.wait_for_selector("tbody tr")
            while moved < LOOKED_AT:
                moved += 2.0
                page.clock.set_fixed_time(BEGUN + moved)
                page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
                page.get_by_text(time.strftime("%H:%M:%S", time.gmtime(BEGUN + moved)), exact=True).wait_for()
            take(page, IMAGES / f"{name}.png")
            context.close()
        browser.close()
    server.stop()


def take(page: Page, path: Path) -> None:
    """Take one picture, and refuse it if it is too large."""
    shot = Image.open(BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    sys.stdout.write(f"{path.relative_to(ROOT)}: {size} bytes\n")
    if size > LIMIT:
        raise SystemExit(f"{path} has more than {LIMIT} bytes: make it smaller")


if __name__ == "__main__":
    main()
