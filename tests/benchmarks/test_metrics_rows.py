"""The rows about metrics: what is decorated for them, and that ours can be measured."""

from __future__ import annotations

import pytest

from benchmarks.contest import OURS
from benchmarks.crew import Crew
from benchmarks.groups import asking, metrics
from benchmarks.metered import (
    EVERY_RATE,
    FUNCTIONS,
    METERED,
    SAMPLED,
    STAGES_OFF_AND_ON,
    busy_functions,
    old_metrics,
    their_own,
)
from benchmarks.report import targets_table
from benchmarks.subjects import one
from benchmarks.summary import Score
from benchmarks.targets import TARGETS, Target
from pyresilience.metrics.exporters.prometheus_text import render
from pyresilience.metrics.subject import Subject

ROWS = [
    (row.name, contestant.name)
    for group in (metrics.CALLS, metrics.WRITING, asking.GROUP)
    for row in group.rows
    for contestant in row.contestants
    if contestant.home == "ours"
]


@pytest.fixture(scope="module")
def crew():
    with Crew() as crew:
        yield crew


@pytest.mark.parametrize(("row", "contestant"), ROWS)
def test_ours_gives_a_sample_in_every_row(crew, row, contestant):
    """No row fails: what it imports is there, and what it measures takes time or room."""
    assert crew.sample("ours", row, contestant, 1e-4) > 0


def test_the_three_columns_of_ours_record_nothing_all_and_some():
    """Without metrics there are none; with a share of 10 % far fewer calls are recorded than with all."""
    functions = {library.name: library.wrap(one) for library in EVERY_RATE}
    for function in functions.values():
        for _ in range(2000):
            function(1)
    assert functions[OURS].metrics is None
    assert functions[METERED].metrics.get_stats().total_calls == 2000
    assert 100 <= functions[SAMPLED].metrics.get_stats().total_calls <= 320


def test_the_stages_are_counted_in_one_of_their_columns_only():
    """A row that compares off and on has a listener in the one and none in the other."""
    off, on = (library.wrap(one) for library in STAGES_OFF_AND_ON)
    assert off(1) == on(1) == 1
    assert off.pipeline.metrics is None
    assert on.pipeline.metrics.get_stats(f"{one.__module__}.one").success == 1


def test_old_metrics_have_full_windows():
    """The last minute has a count for nearly each of its sixteenths, and every longer window has more."""
    old = old_metrics()
    counts = [old.get_stats(window).misses for window in (*old.window_sizes, None)]
    assert counts[0] >= 15
    assert counts == sorted(set(counts))


def test_the_scraped_process_has_the_same_lines_from_both():
    """What prometheus_client writes of its own has the names, labels and buckets that ours has."""
    prometheus = pytest.importorskip("prometheus_client")
    states = [Subject(function).state() for function in busy_functions()]
    assert len({state.function for state in states}) == FUNCTIONS

    def lines(text):
        """Each line without its value, its labels sorted."""
        kept = (line.rpartition("} ")[0].partition("{") for line in text.decode().splitlines() if line[0] != "#")
        return {(name, *sorted(labels.split(","))) for name, _, labels in kept if not name.endswith("_created")}

    assert lines(render(states)[1]) == lines(prometheus.generate_latest(their_own(states)))


def test_a_target_may_be_of_one_of_our_columns():
    """Its figure is that column's, and the table says which."""
    target = Target(row=metrics.HIT, of=METERED, at_most=1.25, times=OURS)
    scores = {metrics.HIT: {OURS: Score([100.0]), METERED: Score([120.0]), SAMPLED: Score([300.0])}}
    assert target.measured(scores) == pytest.approx(1.2)
    assert f"| {metrics.HIT} ({METERED}) | ≤ 1.25 × pyresilience | 1.20 × | yes |" in targets_table([target], scores)


def test_the_limits_of_the_contract_are_targets():
    """A quarter more per hit, 64 KB per object and 100 µs per question are compared with what is measured."""
    limits = {(target.row, target.of): target.at_most for target in TARGETS}
    assert limits[metrics.HIT, METERED] == limits[metrics.HIT_ASYNC, METERED] == 1.25
    assert limits[asking.WEIGHT, OURS] == 64 * 1024
    assert limits[asking.ASKING, OURS] == pytest.approx(100e-6)
