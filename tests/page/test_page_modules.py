"""What the page reckons, each module by itself, in the browser that runs it."""

from __future__ import annotations

import page_figures as figures
import pytest


@pytest.fixture(scope="module")
def module(browser):
    """`module(file, expression, argument)`: what the expression over the module `it` gives."""
    from page_server import PageServer

    serving = PageServer("/ops", figures.answer())
    serving.start()
    page = browser.new_page(locale="en-GB", timezone_id="UTC")
    page.goto(serving.url)

    def call(file, expression, argument=None):
        body = f"async ([at, argument]) => {{ const it = await import(at); return {expression}; }}"
        return page.evaluate(body, [f"{serving.url}page/{file}", argument])

    yield call
    page.close()
    serving.stop()


def plain(text):
    """With plain spaces."""
    return text.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("what", "texts"),
    [
        ("count", {0: "0", 7: "7", 99_999: "99,999", 100_000: "100 k", 1_234_567: "1.23 M", 2.5e12: "2.50 T"}),
        ("rate", {0: "0", 0.0004: "<0.001", 0.02: "0.020", 1.234: "1.23", 12.34: "12.3", 999.4: "999", 1240: "1,240"}),
        ("percent", {0: "0 %", 1: "100 %", 0.9312: "93.1 %", 0.99999: ">99.9 %", 0.00001: "<0.1 %"}),
        (
            "latency",
            {0: "0 s", 2.37e-7: "237 ns", 3.1e-5: "31.0 µs", 0.0025: "2.50 ms", 1.2: "1.20 s", 0.9999: "1.00 s"},
        ),
        ("bytes", {0: "0 B", 999: "999 B", 1000: "1.00 kB", 123_456_789: "123 MB"}),
        ("span", {0: "0 s", 42: "42 s", 185: "3 min 5 s", 7800: "2 h 10 min", 86_400: "1 d"}),
        ("lifetime", {0: "never expires", 0.25: "250 ms", 300: "5 min"}),
    ],
)
def test_numbers_read_as_people_read_them(module, what, texts):
    """Three digits that matter, a unit, and no number rounded to what it is not."""
    found = module("units.js", f"argument.map(it.{what})", list(texts))
    assert [plain(text) for text in found] == list(texts.values())


@pytest.mark.parametrize("what", ["count", "rate", "percent", "latency", "bytes", "span", "lifetime", "exact", "brief"])
def test_what_is_no_number_is_a_dash(module, what):
    """Null, a text or nothing at all never reads as a number."""
    assert module("units.js", f"[null, undefined, NaN, Infinity, 'x', {{}}].map(it.{what})") == ["–"] * 6


def told(now, totals=None, **rates):
    """An answer with a history of *rates* per second."""
    steady = {**dict.fromkeys(figures.SERIES, 0.0), **rates}
    answer = figures.answer(
        [figures.function("shop.a", figures.cache())], now, figures.history(now, lambda when: steady)
    )
    return answer | {"functions": totals or answer["functions"]}


def test_histories_join_without_counting_twice(module):
    """A day, an hour and a minute become one row without gap or overlap that holds each count once."""
    now = 1_790_000_000.0
    bins = module("timeline.js", "it.fromHistories(argument)", told(now, hits=16.0)["history"])
    assert bins[0]["start"] == pytest.approx(now - 86_400)
    assert bins[-1]["end"] == pytest.approx(now)
    assert all(one["end"] == pytest.approx(other["start"]) for one, other in zip(bins, bins[1:], strict=False))
    assert sum(each["counts"]["hits"] for each in bins) == pytest.approx(16 * 86_400)
    assert {round(each["counts"]["hits"] / (each["end"] - each["start"])) for each in bins} == {16}


def test_histories_that_contradict_each_other_give_nothing_negative(module):
    """Where the minute says more than the hour that contains it, nothing is known of the rest of that slice."""
    histories = told(1_790_000_000.0, hits=4.0)["history"]
    histories["60"]["hits"] = [1000] * figures.SLICES
    bins = module("timeline.js", "it.fromHistories(argument)", histories)
    rates = {round(each["counts"]["hits"] / (each["end"] - each["start"])) for each in bins}
    assert rates == {4, 267}


def test_differences_are_never_negative(module):
    """A counter that fell counts 0, and so does a function that was not there before."""
    before = [["a", {"hits": 5, "misses": 9}], ["gone", {"hits": 50}]]
    after = [["a", {"hits": 9, "misses": 2}], ["new", {"hits": 1000}]]
    counted = module("timeline.js", "it.difference(new Map(argument[0]), new Map(argument[1]))", [before, after])
    assert counted["hits"] == 4
    assert set(counted.values()) == {4, 0}


ADD = "(() => { const line = new it.Timeline(); argument.forEach(each => line.add(each)); return line; })()"


def at(now, hits):
    """An answer in which one function has had so many hits."""
    return told(now, [figures.function("shop.a", figures.cache(hits))])


def test_answers_add_to_the_history(module):
    """After the history that the first answer brings, each answer adds what was counted since the one before."""
    now = 1_790_000_000.0
    bins = module(
        "timeline.js", f"{ADD}.bins.slice(-2)", [at(now, 100), at(now + 2, 110), at(now + 2, 110), at(now + 4, 140)]
    )
    assert [each["counts"]["hits"] for each in bins] == [10, 30]
    assert bins[-1]["end"] == now + 4


def test_a_long_silence_is_filled_from_the_history(module):
    """After a pause the server knows better than one big difference what happened in it."""
    now = 1_790_000_000.0
    late = told(now + 30, hits=8.0)
    bins = module("timeline.js", f"{ADD}.bins.filter(each => each.end > {now})", [at(now, 100), late])
    assert len(bins) >= 7
    assert {round(each["counts"]["hits"] / (each["end"] - each["start"])) for each in bins} == {8}


def test_an_unfinished_slice_is_no_outage(module):
    """What the server has only begun to count when the page is opened does not look like a breakdown of traffic."""
    now = 1_790_000_000.0
    first = told(now, hits=16.0)
    for window in first["history"].values():
        window["hits"][-1] = 1
    later = first | {"now": now + 2, "functions": [figures.function("shop.a", figures.cache(32))], "history": None}
    line = f"(() => {{ const line = {ADD}; return [line.bins, line.last(10)]; }})()"
    bins, last = module("timeline.js", line, [first, later])
    assert min(each["counts"]["hits"] / (each["end"] - each["start"]) for each in bins[-17:]) == pytest.approx(16)
    assert last["counts"]["hits"] / last["seconds"] == pytest.approx(16)


def test_a_clock_that_goes_back_starts_anew(module):
    """Another server, or a clock that was set: nothing lies in the future."""
    now = 1_790_000_000.0
    assert module("timeline.js", f"{ADD}.bins.at(-1).end", [at(now, 100), at(now - 500, 3)]) == now - 500


def test_a_page_that_stays_open_stays_light(module):
    """Three days at an answer every two seconds are some hundred bins, and no count of the last day is lost."""
    code = """(() => {
      const line = new it.Timeline();
      for (let step = 0; step <= 129600; step += 1) {
        line.add({now: 1e9 + 2 * step, functions: [], totals: {hits: 10 * step}, history: null});
        if (step % 2000 === 0) line.forget();
      }
      return [line.bins.length, line.last(80000).counts.hits, line.bins[0].start];
    })()"""
    length, hits, start = module("timeline.js", code)
    assert length < 900
    assert hits == pytest.approx(80_000 * 5, rel=0.01)
    assert start >= 1e9 + 259_200 - 86_400 - 300


def test_states_of_a_circuit_become_spans(module):
    """Before its first turn a breaker was closed; what lies outside the chart is cut off."""
    circuit = {"state": "half_open", "history": [[100, "open"], [160, "half_open"]]}
    spans = module("circuits.js", "it.spans(argument, 50, 200)", circuit)
    assert [(each["state"], each["start"], each["end"]) for each in spans] == [
        ("closed", 50, 100), ("open", 100, 160), ("half_open", 160, 200)]  # fmt: skip
    spans = module("circuits.js", "it.spans(argument, 120, 150)", circuit)
    assert [(each["state"], each["start"], each["end"]) for each in spans] == [("open", 120, 150)]


def test_lanes_begin_with_what_needs_looking_at(module):
    """Open before half-open before closed, and among these the one that changed last."""
    states = {"a": ("closed", 5), "b": ("closed", 9), "c": ("half_open", 1), "d": ("open", 2), "e": ("open", 3)}
    functions = [
        figures.function(name, None, None, {"state": state, "history": [[when, state]]})
        for name, (state, when) in states.items()
    ]
    functions.append(figures.function("none"))
    assert module("circuits.js", "it.lanesOf(argument).map(each => each.function)", functions) == list("edcba")[:3] + [
        "b",
        "a",
    ]
