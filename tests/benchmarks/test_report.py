"""The pure parts of the benchmarks: ratios, spreads, verdicts and tables."""

import pytest

from benchmarks.contest import BARE, NAMESAKE, OURS, Contestant, Group, Row
from benchmarks.groups import GROUPS, ROWS
from benchmarks.groups.cold_keys import THREADS
from benchmarks.groups.footprint import MEMORY
from benchmarks.groups.hits import ASYNC_ONE, ONE
from benchmarks.groups.threads import HOT
from benchmarks.report import cell, goal, report, table, targets_table, value
from benchmarks.summary import Score, ratio, spread
from benchmarks.targets import TARGETS, Target


def row(*names, unit="seconds", worst=False):
    """A row that nobody runs."""
    return Row("a row", unit, tuple(Contestant(name, lambda: None) for name in names), worst=worst)


def test_a_ratio_is_taken_round_by_round():
    """A machine that slows down for both leaves their ratio alone, which the ratio of two medians would not."""
    ours, theirs = Score([1.0, 1.0, 10.0, 10.0, 1.0]), Score([2.0, 2.0, 20.0, 20.0, 20.0])
    assert ratio(theirs, ours) == 2.0
    assert ratio(ours, theirs) == 0.5


def test_one_wild_sample_moves_neither_ratio_nor_spread():
    """Both are medians or quartiles."""
    calm, wild = [1.0] * 9, [1.0] * 8 + [1000.0]
    assert ratio(Score(wild), Score(calm)) == 1.0
    assert spread(wild) == 0.0


def test_spread_is_half_the_distance_between_the_quartiles():
    """As a share of the median."""
    assert spread([8.0, 9.0, 10.0, 11.0, 12.0]) == pytest.approx(0.1)


def test_one_sample_has_no_spread():
    """What is measured once cannot vary."""
    assert spread([3.0]) == 0.0


@pytest.mark.parametrize(
    ("figure", "unit", "text"),
    [
        (36.21e-9, "seconds", "36.2 ns"),
        (999.9e-9, "seconds", "1.00 µs"),
        (1.1649e-6, "seconds", "1.16 µs"),
        (50e-6, "seconds", "50 µs"),
        (174.4e-6, "seconds", "174 µs"),
        (72.24e-3, "seconds", "72.2 ms"),
        (2.5, "seconds", "2.50 s"),
        (0.2e-9, "seconds", "0.20 ns"),
        (0.884, "share", "88%"),
        (1.0, "runs", "1 run"),
        (64.0, "runs", "64 runs"),
        (154.6, "bytes", "155 bytes"),
    ],
)
def test_a_figure_has_three_digits_and_its_unit(figure, unit, text):
    """The unit of time is the one that leaves one to three digits before the point."""
    assert value(figure, unit) == text


def test_a_cell_shows_median_spread_and_the_multiple_of_ours():
    """Ours itself stands without the multiple."""
    scores = {OURS: Score([100e-9, 100e-9, 100e-9]), NAMESAKE: Score([690e-9, 700e-9, 710e-9])}
    here = row(OURS, NAMESAKE)
    assert cell(here, OURS, scores) == "100 ns ± 0%"
    assert cell(here, NAMESAKE, scores) == "700 ns ± 1% (7 ×)"


def test_a_tiny_multiple_is_not_shown_as_nothing():
    """A bare call beside a timeout is some thousandth, not 0.00."""
    scores = {OURS: Score([10e-6]), BARE: Score([19e-9])}
    assert cell(row(OURS, BARE), BARE, scores).endswith("(0.002 ×)")


def test_a_cell_of_the_worst_shows_the_largest_sample():
    """Single flight that failed once has failed."""
    scores = {OURS: Score([1.0, 2.0, 1.0])}
    assert cell(row(OURS, unit="runs", worst=True), OURS, scores) == "2 runs"


def test_a_failed_contestant_shows_its_error_on_one_short_line():
    """Nothing in the error breaks the table; samples from before the failure are not shown."""
    text = cell(row(NAMESAKE), NAMESAKE, {NAMESAKE: Score([1.0], failed="TypeError: a | b\n" + "c" * 200)})
    assert text.startswith("failed: TypeError: a / b c")
    assert "\n" not in text
    assert "|" not in text
    assert len(text) < 100


def test_others_show_no_multiple_where_ours_failed():
    """There is nothing to compare with."""
    scores = {OURS: Score(failed="gone"), BARE: Score([19e-9])}
    assert cell(row(OURS, BARE), BARE, scores) == "19 ns ± 0%"


def test_a_table_aligns_figures_to_the_right():
    """One line of head, one of rules, one per row."""
    assert table(["measure", "ours"], [["hit", "1 ns"]]) == "| measure | ours |\n| --- | ---: |\n| hit | 1 ns |"


@pytest.mark.parametrize(
    ("target", "samples", "reached"),
    [
        (Target(row=ONE, at_most=5, times="other"), {OURS: [5.0], "other": [1.0]}, True),
        (Target(row=ONE, at_most=5, times="other"), {OURS: [5.1], "other": [1.0]}, False),
        (Target(row=ONE, at_least=6, faster_than="other"), {OURS: [1.0], "other": [6.0]}, True),
        (Target(row=ONE, at_least=6, faster_than="other"), {OURS: [1.0], "other": [5.9]}, False),
        (Target(row=HOT, at_least=0.9), {OURS: [0.2, 0.9, 1.0]}, True),
        (Target(row=HOT, at_least=0.9), {OURS: [0.8, 0.89, 1.0]}, False),
        (Target(row=MEMORY, at_most=200), {OURS: [201.0]}, False),
        (Target(row=THREADS, at_least=1, at_most=1), {OURS: [1.0, 1.0]}, True),
        (Target(row=THREADS, at_least=1, at_most=1), {OURS: [1.0, 2.0, 1.0]}, False),
        (Target(row=THREADS, at_least=1, at_most=1), {OURS: [0.0]}, False),
    ],
)
def test_a_target_is_reached_or_not(target, samples, reached):
    """Multiples are compared round by round, other figures by their median or their worst."""
    scores = {target.row: {name: Score(values) for name, values in samples.items()}}
    figure = target.measured(scores)
    assert figure is not None
    assert target.reached(figure) is reached


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {ONE: {OURS: Score([1.0])}},
        {ONE: {OURS: Score([1.0]), "other": Score(failed="gone")}},
        {ONE: {OURS: Score(failed="gone"), "other": Score([1.0])}},
        {ONE: {OURS: Score(), "other": Score()}},
    ],
)
def test_what_was_not_measured_has_no_verdict(scores):
    """A row left out, a contestant missing and one that failed are neither yes nor no."""
    target = Target(row=ONE, at_most=5, times="other")
    assert target.measured(scores) is None
    assert targets_table([target], scores).endswith("| not measured | – |")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(row=ASYNC_ONE, at_most=4.5, times=BARE), "≤ 4.5 × bare call"),
        (Target(row=ONE, at_least=6, faster_than=NAMESAKE), "≥ 6 × faster than 0.4.1 of our name"),
        (Target(row=HOT, at_least=0.9), "≥ 90%"),
        (Target(row=MEMORY, at_most=200), "≤ 200 bytes"),
        (Target(row=THREADS, at_least=1, at_most=1), "exactly 1 run"),
    ],
)
def test_a_target_is_told_in_words(target, words):
    """With the unit of its row."""
    assert goal(target) == words


def test_the_report_has_a_table_per_group_that_was_measured():
    """Groups without a measured row are left out; columns are those of the rows measured."""
    here = Row(ONE, "seconds", (Contestant(OURS, lambda: None),))
    elsewhere = Row("never run", "seconds", (Contestant("nobody", lambda: None),))
    groups = [Group("One", "A note.", (here, elsewhere)), Group("Two", "", (elsewhere,))]
    text = report(groups, [], {ONE: {OURS: Score([1e-6])}}, {"Python": "3.x"})
    assert text.startswith("- Python: 3.x\n\n### One\n\nA note.\n\n| measure | pyresilience |\n")
    assert "nobody" not in text
    assert "### Two" not in text


def test_no_two_rows_share_a_name():
    """A row is found by its name, a contestant by its name within the row."""
    assert len(ROWS) == sum(len(group.rows) for group in GROUPS)
    for each in ROWS.values():
        names = [contestant.name for contestant in each.contestants]
        assert len(set(names)) == len(names)


def test_every_target_is_about_contestants_that_run():
    """A misspelt name would show as not measured for ever."""
    for target in TARGETS:
        names = {contestant.name for contestant in ROWS[target.row].contestants}
        assert {target.of, target.times or target.of, target.faster_than or target.of} <= names
        assert (target.at_most, target.at_least) != (None, None)
