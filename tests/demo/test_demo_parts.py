"""The pure parts of the demo: its script, its counts and its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.demo import report
from benchmarks.demo.load import PRODUCTS, Customer
from benchmarks.demo.play import Run
from benchmarks.demo.scoreboard import BARE, GUARDED, Row, Scoreboard, Tally, doubts, heading, line, milliseconds, total
from benchmarks.demo.script import beats
from pyresilience import EventType, ResilienceEvent
from pyresilience.events import CacheHit, CacheMissed, Retrying


@given(st.floats(0.1, 100.0), st.sampled_from([1.0, 1 / 3]))
def test_the_rows_of_a_script_cover_it_without_gap(seconds, pace):
    """Rows follow one upon the other, none is longer than a second, and the last one ends with the run."""
    rows = beats(seconds, pace)
    assert rows[0].begins == 0.0
    assert rows[-1].ends == pytest.approx(seconds * pace)
    assert all(one.ends == other.begins for one, other in zip(rows, rows[1:]))
    assert all(0.0 < row.ends - row.begins <= 1.0 + 1e-9 for row in rows)


@given(st.floats(0.5, 100.0))
def test_every_script_has_an_outage_that_heals(seconds):
    """The phases come in the order of the plot, and the last one is a healthy one."""
    phases = [row.phase for row in beats(seconds)]
    changes = [phase for phase, before in zip(phases, [None, *phases]) if phase != before]
    assert changes == ["healthy", "slow", "outage", "healthy"]


def test_phases_begin_on_whole_seconds_in_a_run_of_fifteen():
    """In the usual run every row is one whole second, and the outage begins at 40 % and ends at about 65 %."""
    rows = beats(15.0)
    assert [row.ends for row in rows] == [float(second) for second in range(1, 16)]
    assert [row.begins for row in rows if row.phase == "outage"] == [6.0, 7.0, 8.0, 9.0]


def test_the_short_run_has_the_phases_of_the_long_one():
    """At a third of the pace every phase takes a third of its time."""

    def lengths(rows):
        return [sum(row.ends - row.begins for row in rows if row.phase == phase) for phase in ("slow", "outage")]

    assert [3 * length for length in lengths(beats(15.0, 1 / 3))] == pytest.approx(lengths(beats(15.0)))


def test_a_customer_is_made_by_its_seed_and_likes_what_is_popular():
    """The same seed asks for the same products, all of them exist, and low numbers are asked for more often."""
    one, same = Customer(3), Customer(3)
    choices = [one.choice() for _ in range(2000)]
    assert choices == [same.choice() for _ in range(2000)]
    assert all(1 <= choice <= PRODUCTS for choice in choices)
    assert choices.count(1) > choices.count(10) > choices.count(PRODUCTS)


def ended(board, facts, outcome, *events):
    facts.clear()
    for event in events:
        board.listen(event)
    board.ended(outcome, facts, 0.001)


def test_a_call_is_counted_with_all_its_facts_when_it_ends():
    """What a listener hears shows in no count before the call has ended, and then in the right ones."""
    board = Scoreboard()
    facts = board.notebook()
    board.listen(CacheMissed(function_name="f"))
    assert board.turn().counts == {}
    ended(board, facts, "good", CacheHit(function_name="f"))
    ended(board, facts, "old", CacheHit(function_name="f", source="coalesced"))
    ended(board, facts, "errors", CacheMissed(function_name="f"), *[Retrying(function_name="f")] * 2)
    tally = board.turn()
    assert tally.counts == {
        "calls": 3,
        "hits": 1,
        "coalesced": 1,
        "misses": 1,
        "retries": 2,
        "good": 1,
        "old": 1,
        "errors": 1,
    }
    assert len(tally.took) == 3
    assert doubts(tally, cached=True) == []
    assert board.turn().counts == {}


@pytest.mark.parametrize("kind", EventType)
def test_the_scoreboard_hears_every_kind_of_event(kind):
    """No event breaks the listener, and each is counted at most once."""
    facts = Scoreboard.notebook()
    Scoreboard.listen(ResilienceEvent(event_type=kind, function_name="f"))
    assert len(facts) <= 1


def test_sums_that_do_not_come_out_are_found():
    """A call that was looked up twice, or that ended in no way, is told."""
    tally = Tally()
    tally.counts.update(calls=2, hits=2, coalesced=0, misses=1, good=1)
    assert doubts(tally, cached=True) == [
        "what callers got make 1, not 2 calls",
        "hits, coalesced and misses make 3, not 2 calls",
    ]
    assert len(doubts(tally, cached=False)) == 1


def test_tallies_add_up():
    """The total of tallies has the sum of each count, and all the times."""
    one, other = Tally(took=[0.3]), Tally(took=[0.1, 0.2])
    one.counts.update(calls=1, hits=1)
    other.counts.update(calls=2, misses=2)
    whole = total([one, other])
    assert whole.counts == {"calls": 3, "hits": 1, "misses": 2}
    assert (whole.quantile(0.0), whole.quantile(0.5), whole.quantile(0.99)) == (0.1, 0.2, 0.3)
    assert Tally().quantile(0.5) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "·"), (0.0000123, "0.012"), (0.00123, "1.23"), (0.0123, "12.3"), (0.123, "123"), (1.23, "1230")],
)
def test_milliseconds_have_about_three_digits(seconds, text):
    """Times of any size fit into a column of five."""
    assert milliseconds(seconds) == text


def row(**counts):
    tally = Tally(took=[0.001] * counts.get("calls", 0))
    tally.counts.update(counts)
    return Row(at=7.0, phase="outage", circuit="half-open", requests=12, tally=tally)


@pytest.mark.parametrize("groups", [GUARDED, BARE])
def test_rows_stand_under_their_heading(groups):
    """Heading and rows end in the same column, whatever the numbers; colour changes nothing but colour."""
    widths = {len(text) for text in [*heading(groups).splitlines(), line(row(), groups), line(row(calls=9999), groups)]}
    assert len(widths) == 1
    coloured = line(row(calls=1), groups, colour=True)
    assert "\033[31moutage" in coloured
    for code in ("\033[31m", "\033[33m", "\033[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == line(row(calls=1), groups)


def test_a_report_can_be_made_of_nothing():
    """A run that was ended before its first call has a summary and a comparison as well."""
    nothing = Run(rows=[row()])
    assert any("0 calls" in text for text in report.summary(nothing))
    assert all("nan" not in text for text in report.side_by_side(nothing, Run()))


def test_the_phases_of_a_run_add_up_to_it():
    """Counts, requests and lengths of the phases are those of the whole."""
    run = Run(seconds=3.0)
    for second, phase in enumerate(["healthy", "outage", "healthy"], start=1):
        tally = Tally()
        tally.counts.update(calls=second)
        run.rows.append(Row(at=float(second), phase=phase, circuit="closed", requests=10 * second, tally=tally))
    assert [run.tally(phase)["calls"] for phase in ("healthy", "outage", None)] == [4, 2, 6]
    assert [run.requests(phase) for phase in ("healthy", "outage", None)] == [40, 20, 60]
    assert (run.length("healthy"), run.length("outage")) == (2.0, 1.0)
