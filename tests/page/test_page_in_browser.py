"""The page in a real browser, with figures that the test makes up."""

from __future__ import annotations

import json
import time

import page_figures as figures
import pytest
from page_looks import ASK_NOW, column, drawn, gone, live, names, reads, strong, until

HOSTILE = [
    "a\"'><script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    "shop.line\nbreak\n\n\n.and\ttab",
    "x" * 3000,
    "shop.עולם_ארוך_מאוד.פונקציה",
    "shop.\u202eevil\u202c.override",
    "__proto__",
    "constructor",
    "%s ${x} {{y}} \\",
    "🙂.🙃",
]


def three(**changes):
    """Three functions, of which two have a cache."""
    return [
        figures.function("shop.a", figures.cache(70, 30, entries=5), figures.runs(30)),
        figures.function("shop.b", figures.cache(900, 10, entries=9), figures.runs(8, 2)),
        figures.function("shop.c", None, figures.runs(500, **changes)),
    ]


def test_charts_draw_their_history_at_once(server, look):
    """A chart has coloured lines as soon as the page is open, from the hour before it was."""
    server.figures = figures.service(time.time(), incident=True)
    page = live(look(server.url))
    for chart in ("ratio", "calls", "waits", "circuits"):
        colours = drawn(page, f"#chart-{chart}", (240, 10, 280, 110))
        assert sum(colours.values()) > 500, chart
        assert strong(colours), chart


def test_a_page_without_calls_draws_no_line(server, look):
    """What the tests above find is the lines: without calls there are only the grid and a sentence."""
    server.figures = figures.answer([figures.function("shop.a", figures.cache(), figures.runs())])
    page = live(look(server.url))
    reads(page, "No call in this time", "#chart-calls")
    reads(page, "No function has a circuit breaker", "#chart-circuits")
    assert not strong(drawn(page, "#chart-ratio"))
    assert drawn(page, "#chart-ratio")


def test_it_updates_without_a_reload(server, look):
    """New figures appear by themselves, within a few seconds, in table, head line and chart."""
    now = time.time()
    server.figures = figures.answer(three(), now)
    page = live(look(server.url))
    page.evaluate("window.mark = 'same page'")
    assert column(page, "Calls") == ["910", "500", "100"]
    changed = three()
    changed[0] = figures.function("shop.a", figures.cache(870, 130), figures.runs(130))
    server.figures = figures.answer(changed, now + 2)
    until(page, "document.querySelector('#tile-calls b').textContent === '90.0/s'")
    assert column(page, "Calls") == ["1,000", "910", "500"]
    assert page.evaluate("window.mark") == "same page"
    assert "450/s" in page.inner_text("#chart-calls .legend") or "400/s" in page.inner_text("#chart-calls .legend")


def test_counters_that_restart_draw_nothing_below_zero(server, look):
    """A process that starts again counts from 0: no rate becomes negative."""
    now = time.time()
    server.figures = figures.answer(three(), now)
    page = live(look(server.url + "#window="))
    server.figures = figures.answer([figures.function("shop.b", figures.cache(3, 1), figures.runs(1))], now + 2)
    page.evaluate(ASK_NOW)
    until(page, "document.querySelectorAll('tbody tr').length === 1")
    assert page.inner_text("#tile-calls b") == "0/s"
    assert "-" not in page.inner_text("#chart-calls .legend")


def test_it_sorts_by_click_and_keeps_the_order_while_it_updates(server, look):
    """A click on a heading sorts, another one reverses, and the order holds when new figures come."""
    now = time.time()
    server.figures = figures.answer(three(), now)
    page = live(look(server.url))
    page.click("thead >> text=success")
    assert names(page) == ["shop.c", "shop.a", "shop.b"]
    assert page.get_attribute(".labels [aria-sort]", "aria-sort") == "descending"
    page.click("thead >> text=success")
    assert names(page) == ["shop.b", "shop.a", "shop.c"]
    assert page.get_attribute(".labels [aria-sort]", "aria-sort") == "ascending"
    server.figures = figures.answer([*three()[:2], figures.function("shop.c", None, figures.runs(1))], now + 2)
    page.evaluate(ASK_NOW)
    until(page, "document.querySelector('tbody .name').textContent === 'shop.c'")
    assert names(page) == ["shop.c", "shop.b", "shop.a"]


def test_it_sorts_by_keyboard_and_what_is_unknown_comes_last(server, look):
    """Headings are buttons; functions without a value stand at the end in both directions."""
    server.figures = figures.answer(three())
    page = live(look(server.url))
    page.focus("thead >> text=entries")
    page.keyboard.press("Enter")
    assert names(page) == ["shop.b", "shop.a", "shop.c"]
    page.keyboard.press("Space")
    assert names(page) == ["shop.a", "shop.b", "shop.c"]
    assert page.evaluate("document.activeElement.textContent") == "entries"


def test_open_circuits_come_first_and_are_named(server, look):
    """In an incident the function to look at is the first row, in the head line, the first lane and the title."""
    server.figures = figures.service(time.time(), 60, incident=True)
    page = live(look(server.url))
    assert names(page)[0] == figures.TROUBLED
    assert page.text_content("#tile-circuits .more") == figures.TROUBLED
    assert page.inner_text("#chart-circuits .names li >> nth=0").startswith(figures.TROUBLED.split(".")[0])
    assert page.title() == "(1 open) pyresilience"
    assert page.locator("#chart-circuits .names li").count() == 6
    page.click("text=Show 15 more")
    assert page.locator("#chart-circuits .names li").count() == 21


def test_states_differ_by_more_than_colour(server, look):
    """An open circuit's bar is higher than a half-open one's, and that one higher than the line of a closed one."""
    circuits = {"shop.open": "open", "shop.half": "half_open", "shop.closed": "closed"}
    told = [figures.function(name, None, figures.runs(1), {"state": s, "history": []}) for name, s in circuits.items()]
    server.figures = figures.answer(told)
    page = live(look(server.url))
    filled = [sum(drawn(page, "#chart-circuits", (430, lane * 22 + 1, 8, 20)).values()) for lane in range(3)]
    assert filled[0] > 1.3 * filled[1] > 2 * filled[2] > 0
    assert page.eval_on_selector_all("tbody td:nth-child(2)", "all => all.map(each => each.textContent)") == [
        "open", "half-open", "closed"]  # fmt: skip


def test_it_filters_by_text(server, look):
    """Only functions whose name contains the text stay, it says how many, and a reload keeps the filter."""
    server.figures = figures.service(time.time())
    page = live(look(server.url))
    page.fill("#filter", "PAY")
    assert sorted(names(page)) == ["payments.fraud.score", "payments.gateway.charge"]
    assert page.inner_text("#count") == "2 of 12"
    page.reload()
    assert len(names(live(page))) == 2
    page.fill("#filter", "nobody")
    assert "No function has “nobody” in its name" in page.inner_text("#scroller")


def test_the_window_is_asked_for(server, look):
    """The table shows the window that was chosen; charts and head line do not lose their past."""
    now = time.time()

    def told(window):
        return figures.answer([figures.function("shop.a", figures.cache({None: 9000, 60: 7}.get(window, 500), 0))], now)

    server.figures = told
    page = live(look(server.url))
    assert column(page, "Calls") == ["500"]
    page.click("text=1 min")
    until(page, "document.querySelector('tbody td:nth-child(3)').textContent === '7'")
    page.click("text=Since start")
    until(page, "document.querySelector('tbody td:nth-child(3)').textContent === '9,000'")
    assert {"/ops/cache/stats.json?window=3600", "/ops/cache/stats.json?window=60"} <= set(server.paths)


def test_one_question_is_enough_where_the_answer_has_totals(server, look):
    """An answer of a window that says the totals since the start as well is not asked for twice."""
    now = time.time()
    totals = dict.fromkeys(figures.SERIES, 1000)

    def told(window):
        return {**figures.answer(three(), now), "totals": dict(totals)}

    server.figures = told
    page = live(look(server.url))
    now += 2
    totals["hits"] += 800
    page.evaluate(ASK_NOW)
    until(page, "document.querySelector('#tile-calls b').textContent === '80.0/s'")
    asked = [path for path in server.paths if "stats.json" in path]
    assert asked
    assert all("window=3600" in path for path in asked)


def test_hostile_names_are_text(server, look):
    """Whatever a function is called stands there as it is, runs nothing and does not widen the page."""
    told = [
        figures.function(name, figures.cache(9, 1), figures.runs(1), {"state": "open", "history": []})
        for name in HOSTILE
    ]
    server.figures = figures.answer(told)
    for width in (1600, 400):
        page = live(look(server.url, width=width))
        assert sorted(names(page)) == sorted(HOSTILE)
        page.click("#chart-circuits .all button")
        assert page.locator("main script, main img").count() == 0
        assert "pwned" not in page.title()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        heights = page.eval_on_selector_all("tbody tr", "all => all.map(each => each.getBoundingClientRect().height)")
        assert max(heights) < min(heights) + 4


def test_nothing_stands_out_of_the_page(server, look):
    """At no width does the page scroll sideways, however long the numbers are."""
    server.figures = figures.service(time.time(), 20, incident=True)
    server.figures["functions"][0]["cache"] |= {"entries": 88_888, "max_entries": 99_999, "bytes": 987_654_321}
    page = live(look(server.url))
    for width in (320, 400, 640, 700, 1024, 1559, 1560, 2400):
        page.set_viewport_size({"width": width, "height": 900})
        until(page, "width => document.querySelector('#chart-calls canvas').clientWidth < width", width)
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_on_a_narrow_screen_functions_are_cards(server, look):
    """At 400 px what matters most of a function is seen at once, and the rest unfolds by keyboard."""
    server.figures = figures.service(time.time(), incident=True)
    page = live(look(server.url, width=400))
    card = page.locator("tbody tr >> nth=0")
    assert card.locator("td:visible").count() == 7
    card.locator("button").focus()
    page.keyboard.press("Enter")
    assert card.locator("td:visible").count() == 25
    assert card.locator("button").get_attribute("aria-expanded") == "true"
    page.select_option("#sorting", "calls")
    page.click("#direction")
    assert column(page, "Calls") == sorted(column(page, "Calls"), key=number)


def number(text):
    """What a count stands for: 1,234 or 12.3 k."""
    digits, _, unit = text.replace(",", "").partition("\u202f")
    return float(digits) * {"": 1, "k": 1e3, "M": 1e6}[unit]


def labels(page):
    """What stands above the columns that can be seen."""
    return page.eval_on_selector_all(
        ".labels th", "all => all.filter(each => each.offsetWidth).map(each => each.textContent)"
    )


RARE = {
    "stale": {"stale_served": 3},
    "waited": {"wait_timeouts": 2},
    "too large": {"size_limit_rejections": 5},
    "failed": {"reload_failures": 7},
}
"""Columns that come of options, and what brings them."""


def test_columns_of_options_come_when_there_is_something_in_them(server, look):
    """A page without such options is as narrow as it can be; each column comes by itself, under its group, and stays."""
    now = time.time()
    server.figures = figures.answer(three(), now)
    page = live(look(server.url))
    plain = labels(page)
    assert not set(RARE) & set(plain)
    assert {"expired", "loads"} <= set(plain)
    for step, (label, counted) in enumerate(RARE.items(), 1):
        told = three()
        told[0]["cache"] |= counted
        server.figures = figures.answer(told, now + step)
        page.evaluate(ASK_NOW)
        until(
            page,
            "count => [...document.querySelectorAll('.labels th')].filter(each => !each.hidden).length === count",
            len(plain) + step,
        )
        assert label in labels(page)
        cells = page.locator("tbody tr >> nth=1").locator("th, td")
        assert sum(cells.nth(place).is_visible() for place in range(cells.count())) == len(plain) + step
    spans = page.eval_on_selector_all(
        ".groups > :not([hidden])", "all => all.reduce((sum, each) => sum + each.colSpan, 0)"
    )
    assert spans == len(labels(page)) == len(plain) + len(RARE)


@pytest.mark.parametrize("width", [700, 1300, 1560, 1600, 2000])
def test_no_column_is_cut_off(server, look, width):
    """With all columns and long numbers the table fits, or can be moved; where it fits, its headings stay in sight."""
    told = figures.service(time.time(), 30, incident=True)
    counts = ("hits", "fresh_hits", "coalesced", "stale_served", "stale_hits", "wait_timeouts", "size_limit_rejections",
              "reload_failures", "recalculations")  # fmt: skip
    told["functions"][0]["cache"] |= dict.fromkeys(counts, 88_888)
    server.figures = told
    page = live(look(server.url, width=width, height=600))
    fits = page.evaluate("document.querySelector('.functions').classList.contains('fits')")
    table, room = page.evaluate(
        "[document.querySelector('#table').offsetWidth, document.querySelector('#scroller').clientWidth]"
    )
    assert (table <= room) or not fits
    assert fits or page.evaluate("getComputedStyle(document.querySelector('#scroller')).overflowX") == "auto"
    if fits:
        page.mouse.wheel(0, 5000)
        until(page, "document.documentElement.scrollTop > 500")
        assert page.locator("thead").bounding_box()["y"] < 60
    else:
        page.evaluate("document.querySelector('#scroller').scrollLeft = 5000")
        last, name = (page.locator(f"tbody tr:first-child > :nth-child({place})").bounding_box() for place in (26, 1))
        assert last["x"] + last["width"] <= width
        assert 0 <= name["x"] < 30
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_what_was_served_stale_is_no_hit_and_no_gap(server, look):
    """In the charts and in the head line stands how many calls got an old answer; without any, nothing of it."""
    now = time.time()
    server.figures = figures.answer(three(), now)
    page = live(look(server.url))
    assert "stale" not in page.inner_text("#chart-calls .legend") + page.inner_text("#chart-ratio .legend")
    changed = three()
    changed[0] = figures.function("shop.a", figures.cache(130, 70, stale_hits=40, stale_served=40), figures.runs(30))
    server.figures = figures.answer(changed, now + 2)
    page.evaluate(ASK_NOW)
    until(page, "document.querySelector('#chart-calls .legend').textContent.includes('stale 20.0/s')")
    assert "served stale 40.0" in page.text_content("#chart-ratio .legend")
    assert "stale 20.0/s" in page.get_attribute("#chart-calls .plot", "aria-label")
    reads(page, "stale in 1 min", "#tile-ratio")


def test_dark_and_light_differ(server, look):
    """The page follows the reader's colour scheme, in what is drawn as well, and changes with it."""
    server.figures = figures.service(time.time())
    page = live(look(server.url))
    ground = "getComputedStyle(document.body).backgroundColor"
    light, painted = page.evaluate(ground), drawn(page, "#chart-calls")
    page.emulate_media(color_scheme="dark")
    assert light == "rgb(243, 244, 246)"
    assert page.evaluate(ground) == "rgb(13, 17, 22)"
    gone(page, "#chart-calls", max(painted, key=painted.get))


def test_a_server_that_is_gone_is_reported_and_found_again(server, look):
    """When nobody answers the page says so and since when, keeps the last figures, and comes back by itself."""
    now = time.time()
    server.figures = figures.answer(three(), now)
    page = live(look(server.url, expected_errors=["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET"]))
    server.stop()
    page.evaluate(ASK_NOW)
    until(page, "document.body.dataset.state === 'lost'")
    assert "No figures since" in page.inner_text("#status")
    assert "the server cannot be reached. Trying again" in page.inner_text("#status")
    assert column(page, "Calls") == ["910", "500", "100"]
    server.figures = figures.answer(three(failure=40), now + 6)
    server.start()
    until(page, "document.body.dataset.state === 'live'")
    assert "Live" in page.inner_text("#status")
    assert column(page, "failure") == ["2", "40", "0"]


def test_a_useless_answer_is_reported(server, look):
    """An answer that is no figures is called what it is, on the first question as well."""
    server.status = 503
    page = look(server.url, expected_errors=["status of 503"])
    reads(page, "No figures: the server answered 503", "#status")
    server.status = 200
    for raw, says in [
        (b"<html>", "is no JSON"),
        (b'{"a": 1}', "has no figures"),
        (b"", "is no JSON"),
        (b"null", "has no figures"),
    ]:
        server.raw = raw
        page.evaluate(ASK_NOW)
        reads(page, says, "#status")


def test_figures_that_no_longer_change_are_called_old(server, look):
    """A server that repeats itself looks alive: the page says that its figures are old."""
    server.figures = figures.answer(three())
    page = live(look(server.url, still=True))
    while (state := page.evaluate("document.body.dataset.state")) != "old":
        assert state == "live"
        with page.expect_response("**/stats.json"):
            page.clock.run_for(2000)
    assert "No change since" in page.inner_text("#status")


def test_a_hidden_tab_rests(server, look):
    """Nobody looks: nothing is asked; somebody looks again: it is asked at once."""
    server.figures = figures.answer(three())
    page = live(look(server.url, still=True))
    hide = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); %s }" % ASK_NOW
    page.evaluate(hide, True)
    asked = len(server.paths)
    page.clock.run_for(60_000)
    assert len(server.paths) == asked
    with page.expect_response("**/stats.json*"):
        page.evaluate(hide, False)


def test_without_functions_it_says_what_to_do(server, look):
    """An empty page explains itself, and fills when the first function comes."""
    server.figures = figures.answer([])
    page = live(look(server.url))
    assert "No function has metrics yet" in page.inner_text("#empty")
    assert "CacheConfig(enable_metrics=True)" in page.inner_text("#empty")
    assert not page.is_visible("#tiles")
    server.figures = figures.answer(three(), time.time() + 1)
    page.evaluate(ASK_NOW)
    page.wait_for_selector("#tiles", state="visible")
    assert not page.is_visible("#empty")
    assert sum(drawn(page, "#chart-calls").values()) > 0


def test_null_anywhere_is_a_dash(server, look):
    """Whatever the answer leaves open, the page shows the rest."""

    def nulls(value):
        return {
            key: nulls(each) if isinstance(each, dict) and key != "evictions" else None for key, each in value.items()
        }

    told = three()
    told[0]["cache"] = nulls(told[0]["cache"])
    told[1] |= {"cache": {}, "runs": {}, "circuit": None, "listener_errors": None}
    told.append({"function": "shop.bare"})
    server.figures = {"now": time.time(), "functions": told, "history": None}
    page = live(look(server.url))
    assert sorted(names(page)) == ["shop.a", "shop.b", "shop.bare", "shop.c"]
    assert set(column(page, "Hit ratio")) == {"–"}
    assert "NaN" not in page.inner_text("main")
    assert "undefined" not in page.inner_text("main")
    assert "null" not in page.inner_text("main")


def test_lines_are_switched_off_by_their_legend(server, look):
    """A legend is a row of buttons: what hides the rest can be taken away."""
    server.figures = figures.service(time.time(), incident=True)
    page = live(look(server.url))
    before = drawn(page, "#chart-calls")
    page.click("#chart-calls .legend button >> nth=1")
    assert page.get_attribute("#chart-calls .legend button >> nth=1", "aria-pressed") == "false"
    gone(page, "#chart-calls", max(before, key=before.get))


def test_the_cursor_reads_all_charts_at_one_time(server, look):
    """Where the mouse points in one chart, all charts show their values, and say of when."""
    server.figures = figures.service(time.time(), incident=True)
    page = live(look(server.url))
    latest = page.inner_text("#chart-waits .legend")
    page.hover("#chart-calls .plot", position={"x": 200, "y": 60})
    until(page, "document.querySelector('#chart-waits .at').textContent !== ''")
    assert page.inner_text("#chart-waits .legend") != latest
    assert page.inner_text("#chart-circuits .at") != ""


def test_it_notes_what_a_reader_must_know(server, look):
    """Sampled functions and listeners that raised are told, as the figures do not show them."""
    told = three()
    told[0]["cache"]["sampling_rate"] = 0.1
    told[1]["listener_errors"] = 3
    server.figures = figures.answer(told)
    page = live(look(server.url))
    assert "shop.a (10.0\u202f% of its calls)" in page.inner_text("#notes")
    assert "Listeners of shop.b raised 3 errors" in page.inner_text("#notes")


def test_everything_can_be_reached_and_is_named(server, look):
    """Every control has a name for those who cannot see it, every chart says what it shows, and headings say the order."""
    server.figures = figures.service(1_790_000_000, incident=True)
    page = live(look(server.url))
    nameless = page.evaluate("""[...document.querySelectorAll("button, input, select, [role=img], [role=region]")]
      .filter(each => !(each.textContent.trim() || each.ariaLabel || each.labels?.length
        || each.getAttribute("aria-labelledby"))).map(each => each.outerHTML)""")
    assert nameless == []
    assert "failure 8.00/s" in page.get_attribute("#chart-calls .plot", "aria-label")
    assert page.locator("[aria-sort]").count() == 1
    assert page.get_by_role("columnheader", name="load p99").count() == 1
    assert page.get_by_role("rowheader", name=figures.TROUBLED).count() == 1
    assert (
        json.loads(page.evaluate("JSON.stringify([...document.querySelectorAll('h1, h2')].map(h => h.tagName))"))[0]
        == "H1"
    )


def test_three_hundred_functions_are_no_burden(server, look):
    """An update of 300 functions holds the page up for less than half a second, even on a slow machine."""
    now = time.time()
    server.figures = figures.service(now, 300, incident=True)
    page = live(look(server.url))
    assert len(names(page)) == 300
    page.evaluate("""() => { window.long = [0];
      new PerformanceObserver(all => long.push(...all.getEntries().map(each => each.duration)))
        .observe({entryTypes: ["longtask"]}); }""")
    server.figures = figures.service(now + 2, 300, incident=True, seconds=2)
    before = page.inner_text("#tile-calls b")
    page.evaluate(ASK_NOW)
    until(page, "before => document.querySelector('#tile-calls b').textContent !== before", before)
    assert page.evaluate("Math.max(...long)") < 500
