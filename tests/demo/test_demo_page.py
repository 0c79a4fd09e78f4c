"""The statistics page of the demo and the table made of it: real functions, over HTTP."""

from __future__ import annotations

import pytest

from benchmarks.demo.figures import disagreements, duration, figures, transitions
from benchmarks.demo.page import PageError, StatisticsPage
from benchmarks.demo.scoreboard import Tally
from pyresilience import CacheConfig, CircuitBreakerConfig, FallbackConfig, RetryConfig, resilient

CALLS = (1, 1, 2, 1, 2, -3)
"""Three hits, two misses that succeed, and one for which the fallback stands in after a retry."""


def guarded(name):
    def fetch(number):
        if number < 0:
            raise ConnectionError
        return number

    fetch.__qualname__ = name
    return resilient(
        cache=CacheConfig(enable_metrics=True),
        fallback=FallbackConfig(handler=lambda error: 0),
        retry=RetryConfig(max_attempts=2, delay=0),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=2),
    )(fetch)


@pytest.fixture
def page():
    functions = [guarded("fetch"), guarded("fetch_async")]
    for number in CALLS:
        functions[0](number)
    functions[1](7)
    with StatisticsPage() as page:
        page.show(functions)
        yield page


def cells(lines, title):
    """What stands in the row of that title, a text per function."""
    row = next(line for line in lines if line.strip().startswith(title))
    return row.strip().removeprefix(title).split()


def test_the_table_says_what_was_called(page):
    """Each function has its column, and every number in it is that of its own calls."""
    lines = list(figures(page.stats(), page.metrics()))
    assert lines[0].split() == ["fetch", "fetch_async"]
    assert cells(lines, "hits, fresh from the cache") == ["3", "0"]
    assert cells(lines, "misses that found") == ["an", "expired", "entry", "0", "0"]
    assert cells(lines, "hit ratio") == ["50.0", "%", "0.0", "%"]
    assert cells(lines, "runs that gave a product") == ["2", "1"]
    assert cells(lines, "runs that gave the fallback's") == ["1", "0"]
    assert cells(lines, "retries") == ["1", "0"]
    assert any("open 1 times, half-open 0, closed 0" in line for line in lines)


def test_the_table_shows_lines_of_the_metrics_as_they_are(page):
    """What is shown of /metrics can be found there word for word, one line of each family."""
    metrics = page.metrics()
    lines = [line.strip() for line in figures(page.stats(), metrics) if line.strip().startswith("pyresilience_")]
    assert len(lines) == 3
    assert set(lines) <= set(metrics)


def test_the_table_fits_into_80_columns(page):
    """Also with numbers of the demo's size."""
    stats = page.stats()
    for function in stats["functions"]:
        function["cache"].update(fresh_hits=1_234_567, misses=98_765)
        function["cache"]["hit_latency"].update(p50=None, p99=123.456)
    lines = list(figures(stats, page.metrics()))
    # in the demo the label is that of `benchmarks.demo.clients`, shorter than that of this module
    assert max(len(line) for line in lines if not line.strip().startswith("pyresilience_")) <= 80
    assert any("1,234,567" in line for line in lines)


def test_a_page_that_tells_what_was_counted_is_believed(page):
    """There is no disagreement where both counted the same, and each one where they did not is told."""
    tally = Tally()
    tally.counts.update(calls=7, hits=3, misses=4, retries=1)
    assert disagreements(page.stats(), tally) == []
    tally.counts.update(hits=1, timeouts=1)
    assert disagreements(page.stats(), tally) == [
        "the page tells of 3 fresh hits, we counted 4",
        "the page tells of 0 timeouts, we counted 1",
    ]


def test_the_circuit_is_that_of_the_function(page):
    """Turns are counted per label, as the metrics have them."""
    opened, other = (each["function"] for each in page.stats()["functions"])
    assert transitions(page.metrics(), opened) == {"open": 1, "half_open": 0, "closed": 0}
    assert transitions(page.metrics(), other) == {"open": 0, "half_open": 0, "closed": 0}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (6.3e-7, "0.63 µs"),
        (9.96e-6, "10 µs"),
        (99.6e-6, "100 µs"),
        (4.1e-4, "410 µs"),
        (0.9996e-3, "1 ms"),
        (0.0123, "12 ms"),
        (0.1734, "173 ms"),
        (12.3, "12,300 ms"),
    ],
)
def test_durations_have_the_digits_that_are_known(seconds, text):
    """Two digits, or all that stand before the point, and a unit."""
    assert duration(seconds) == text


def test_a_page_that_is_closed_says_so(page):
    """Whoever reads it afterwards hears what failed, and no bare socket error."""
    page.__exit__(None, None, None)
    with pytest.raises(PageError, match=r"GET /stats\.json"):
        page.stats()


def test_an_answer_that_is_none_says_so(page):
    """A status other than 200 is an error that names it."""
    with pytest.raises(PageError, match="status 404"):
        page._get("/nothing")
