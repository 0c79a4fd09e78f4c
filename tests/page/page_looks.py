"""What is to be seen on the page."""

from __future__ import annotations

import time

ASK_NOW = "document.dispatchEvent(new Event('visibilitychange'))"
"""What makes the page ask at once, instead of when its time comes."""
COLOURS = """([selector, x, y, width, height]) => {
  const canvas = document.querySelector(selector + " canvas");
  const ratio = canvas.width / canvas.clientWidth;
  const {data} = canvas.getContext("2d").getImageData(x * ratio, y * ratio, width * ratio, height * ratio);
  const found = {};
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] === 0) continue;
    const colour = [data[at], data[at + 1], data[at + 2]].join();
    found[colour] = (found[colour] ?? 0) + 1;
  }
  return found;
}"""
"""How many pixels of which colour stand in a rectangle of a chart, in pixels of the page."""


def column(page, name):
    """The texts of a column, row by row."""
    labels = page.eval_on_selector_all(".labels th", "all => all.map(each => each.textContent)")
    place = labels.index(name) + 1
    return page.eval_on_selector_all(f"tbody tr > :nth-child({place})", "all => all.map(each => each.textContent)")


def names(page):
    """The functions of the table, from top to bottom."""
    return page.eval_on_selector_all("tbody tr", "all => all.map(row => row.querySelector('.name').textContent)")


def until(page, expression, arg=None, patience=10.0):
    """Wait until something holds in the page, asking from outside: the page's policy forbids it to evaluate texts."""
    deadline = time.monotonic() + patience
    while not page.evaluate(expression, arg):
        assert time.monotonic() < deadline, (
            f"{expression} does not hold; the page says: {page.inner_text('body')[:500]}"
        )
        page.wait_for_timeout(20)


def reads(page, text, selector):
    """Wait until a text stands somewhere."""
    until(page, "([place, text]) => document.querySelector(place).innerText.includes(text)", [selector, text])


def live(page):
    """Wait until the first figures are shown."""
    until(page, "document.body.dataset.state === 'live' && 'empty' in document.body.dataset")
    return page


def drawn(page, selector, place=(60, 10, 500, 110)):
    """How many pixels of which colour are drawn in a part of a chart."""
    return page.evaluate(COLOURS, [selector, *place])


def gone(page, selector, colour):
    """Wait until a colour is no longer drawn."""
    until(page, f"([chart, colour]) => !({COLOURS})([chart, 60, 10, 500, 110])[colour]", [selector, colour])


def strong(colours):
    """Those of the colours that are no grey: of lines and areas, not of the grid."""
    return [each for each in colours if max(map(int, each.split(","))) - min(map(int, each.split(","))) > 60]
