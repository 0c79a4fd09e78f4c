"""The table in the terminal: figures in few characters, and as many of them as fit."""

from __future__ import annotations

import math

import pytest

from pyresilience.cli import units
from pyresilience.cli.table import BY_NAME, COLUMNS, headline, layout, ordered


def function(name="shop.price", calls=10, **more):
    """A function as `/stats.json` tells it."""
    cache = {
        "calls": calls, "hits": 7, "fresh_hits": 6, "coalesced": 1, "stale_hits": 0, "stale_served": 0, "misses": 3,
        "recalculations": 3, "wait_timeouts": 0, "size_limit_rejections": 0, "reloading": 0, "reload_failures": 0,
        "hit_ratio": 0.7, "entries": 3, "max_entries": 256, "bytes": 1234,
        "evictions": {"size": 1, "expired": 2, "invalidated": 3},
        "hit_latency": {"p50": 2e-7, "p95": 3e-7, "p99": 4e-7}, "load_latency": {"p50": 0.0021, "p95": 1.0, "p99": 2.5},
    }  # fmt: skip
    runs = {"success": 3, "failure": 1, "rejected": 2, "fallback": 0, "retries": 4, "latency": {"p50": 0.1, "p99": 0.2}}
    return {"function": name, "cache": cache, "runs": runs, "circuit": {"state": "half_open"}, **more}


ROWLESS = {"function": "bare", "cache": None, "runs": None, "circuit": None}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (7, "7"),
        (99_999, "99999"),
        (100_000, "100k"),
        (1_234_567, "1.23M"),
        (12.3e9, "12.3G"),
        (5e15, "5000T"),
    ],
)
def test_counts(value, text):
    """Counts are exact as long as they are short."""
    assert units.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0%"), (1, "100%"), (0.9999, ">99.9%"), (0.0001, "<0.1%"), (0.9314, "93.1%"), (0.5, "50.0%")],
)
def test_shares(value, text):
    """Only all is 100 %, and only nothing is 0 %."""
    assert units.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0s"),
        (2e-10, "0.20ns"),
        (237e-9, "237ns"),
        (31.2e-6, "31.2µs"),
        (2.5e-3, "2.50ms"),
        (0.9999, "1.00s"),
        (1.2, "1.20s"),
        (100, "100s"),
    ],
)
def test_latencies(value, text):
    """Three digits and a unit."""
    assert units.latency(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0, "0B"), (512, "512B"), (1234, "1.23kB"), (12.3e6, "12.3MB")]
)
def test_sizes(value, text):
    """Bytes in thousands."""
    assert units.size(value) == text


@pytest.mark.parametrize("text", ["\x1b[31mred", "new\nline", "\x9b2J", "a\u202eb", "\x00", "\ud800"])
def test_names_send_nothing_to_the_terminal(text):
    """Whatever a terminal might obey is written out instead."""
    assert units.safe(text).isprintable()
    assert units.safe(f"shop.{text}").startswith("shop.")


@pytest.mark.parametrize(
    ("text", "columns", "short"),
    [
        ("shop.prices.price", 17, "shop.prices.price"),
        ("shop.prices.price", 10, "…ces.price"),
        ("价格价格", 5, "…价格"),
        ("ab", 1, "…"),
    ],
)
def test_long_names_keep_their_end(text, columns, short):
    """Of a name the end says the most; wide characters count twice."""
    assert units.shortened(text, columns) == short
    assert units.width(short) <= columns


def cells(functions, columns=400):
    """The first row, by the columns' names."""
    table = layout(functions, columns)
    return dict(zip((column.name for column in table.columns), table.cells[0], strict=True))


def test_a_wide_terminal_shows_everything():
    """Each column has its figure."""
    assert cells([function()]) == {
        "function": "shop.price", "calls": "10", "hit-ratio": "70.0%", "fresh": "6", "coalesced": "1", "stale": "0",
        "recalculations": "3", "hit-p50": "200ns", "hit-p99": "400ns", "load-p50": "2.10ms", "load-p99": "2.50s", "entries": "3",
        "bytes": "1.23kB", "evicted-size": "1", "evicted-expired": "2", "evicted-invalidated": "3", "retries": "4",
        "failed": "3", "circuit": "half-open",
    }  # fmt: skip


RARE = {
    "stale-served": "stale_served",
    "wait-timeouts": "wait_timeouts",
    "too-large": "size_limit_rejections",
    "reloading": "reloading",
    "reloads-failed": "reload_failures",
}


@pytest.mark.parametrize(("name", "count"), RARE.items())
def test_columns_of_options_come_when_there_is_something_in_them(name, count):
    """What few functions have takes no room from the others; of those that have it, all is shown."""
    plain, equipped = function(), function("shop.equipped")
    equipped["cache"][count] = 12
    assert not set(RARE) & set(cells([plain]))
    assert cells([plain, equipped])[name] == "0"
    assert cells([equipped, plain])[name] == "12"
    assert set(RARE) & set(cells([equipped])) == {name}


def test_the_headline_tells_of_old_answers():
    """Calls that were answered with an expired entry stand beside the hits."""
    equipped = function()
    equipped["cache"]["stale_served"] = 2
    assert "70.0% hits, 20.0% old" in headline({"functions": [equipped]})
    assert "old" not in headline({"functions": [function()]})


def test_a_function_without_a_cache_shows_its_runs():
    """Where there is no cache, calls and durations are those of the runs."""
    row = cells([function(cache=None)])
    assert (row["calls"], row["load-p50"], row["load-p99"], row["hit-ratio"]) == ("6", "100ms", "200ms", "-")


@pytest.mark.parametrize(
    "odd",
    [
        ROWLESS,
        {"function": "x"},
        {"function": "x", "cache": 5, "runs": [], "circuit": "open"},
        {"function": "x", "cache": {"calls": "many", "hit_ratio": True, "hit_latency": None, "evictions": 3}},
        {"function": "x", "cache": {"calls": math.inf, "hit_ratio": math.nan}, "circuit": {"state": None}},
    ],
)
def test_what_is_missing_or_odd_is_shown_as_nothing(odd):
    """A server of another version does not break the table."""
    row = cells([odd])
    assert set(list(row.values())[1:]) == {"-"}
    assert headline({"functions": [odd]})


@pytest.mark.parametrize("columns", [*range(1, 200, 7), 80, 1000])
@pytest.mark.parametrize("name", ["f", "shop.prices.price", "a" * 300, "价格" * 100])
def test_the_table_fits(columns, name):
    """However narrow the terminal, no line is wider, and the name is there."""
    lines = layout([function(name), function("other", calls=10**12), ROWLESS], columns).lines()
    assert len(lines) == 4
    assert all(units.width(line) <= columns for line in lines)
    assert lines[1].strip()


def test_a_narrow_terminal_keeps_what_matters():
    """Calls, hit ratio and circuit are the last to go."""
    names = [column.name for column in layout([function()], 50).columns]
    assert {"function", "calls", "hit-ratio", "circuit"} <= set(names)
    assert "evicted-invalidated" not in names


def test_rows_that_do_not_fit_are_counted():
    """A low terminal says how many functions it does not show."""
    table = layout([function(f"f{each}") for each in range(30)], 80, 10)
    assert (len(table.cells), table.hidden, table.lines()[-1]) == (9, 21, "and 21 more")
    assert layout([function()] * 10, 80, 10).hidden == 0


@pytest.mark.parametrize("column", [column.name for column in COLUMNS])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_column_sorts(column, reverse):
    """The largest first, or last; what has no figure always last; equal ones by name."""
    small = function("b", 1, circuit={"state": "closed"}, runs={"failure": 0, "retries": 0})
    small["cache"] = {"calls": 1, "hit_ratio": 0.1}
    rows = [ROWLESS, small, function("a", 99, circuit={"state": "open"}), {**ROWLESS, "function": "c"}]
    names = [each["function"] for each in ordered(rows, column, reverse=reverse)]
    if column == "function":
        assert names == sorted(["a", "b", "bare", "c"], reverse=reverse)
        return
    some = [
        name
        for name in names
        if BY_NAME[column].value(next(each for each in rows if each["function"] == name)) is not None
    ]
    assert names[: len(some)] == some
    assert some in (["a"], ["b", "a"] if reverse else ["a", "b"])
    assert names[len(some) :] == sorted(names[len(some) :])


def test_the_worst_circuits_come_first():
    """Open before half-open before closed before none; a state of the future is not lost."""
    states = ["closed", "future", "open", "half_open"]
    rows = [{**ROWLESS, "function": state, "circuit": {"state": state}} for state in states] + [ROWLESS]
    assert [each["function"] for each in ordered(rows, "circuit")] == ["open", "half_open", "closed", "future", "bare"]


def test_the_headline_sums_up():
    """Functions, calls, hit ratio, open circuits, window and time, in one line."""
    rows = [function(), function("b", circuit={"state": "open"}), function("c", cache=None)]
    line = headline({"functions": rows, "window": 3600.0, "timestamp": "2026-11-21T08:00:00Z"})
    assert line == "3 functions, 26 calls, 70.0% hits, 1 OPEN CIRCUIT, the last 3600 s, 2026-11-21T08:00:00Z"
    assert headline({"functions": []}) == "0 functions, 0 calls, - hits, no open circuit, since the start"
