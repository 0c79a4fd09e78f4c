"""The rows about sandboxes: they can be measured, and they measure what they say."""

from __future__ import annotations

import pytest

from benchmarks.contest import OURS
from benchmarks.crew import Crew
from benchmarks.groups import sandbox
from benchmarks.summary import Score
from benchmarks.targets import TARGETS

ROWS = [
    pytest.param(row.name, contestant.name, contestant.home, id=f"{row.name}, {contestant.name}")
    for row in sandbox.GROUP.rows
    for contestant in row.contestants
]


@pytest.fixture(scope="module")
def crew():
    with Crew() as crew:
        yield crew


@pytest.mark.parametrize(("row", "contestant", "home"), ROWS)
def test_every_contestant_gives_a_sample(crew, row, contestant, home):
    """No cell of the table is empty: what it imports is there, and what it measures takes time or room."""
    if row == sandbox.HTTP:
        pytest.importorskip("uvicorn")
    assert crew.sample(home, row, contestant, 1e-4) > 0


def test_without_a_server_there_is_a_note(monkeypatch):
    """Where uvicorn is missing the cell says so; the other rows are measured all the same."""
    monkeypatch.setattr(sandbox, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="needs uvicorn"):
        sandbox._http()


def test_the_thousandfold_is_a_target():
    """The cold column is compared with the cached one: a run that is cached is at least 1000 times as fast."""
    [target] = [each for each in TARGETS if each.row == sandbox.RUN]
    scores = {sandbox.RUN: {OURS: Score([2e-5]), sandbox.COLD: Score([5e-2])}}
    assert target.measured(scores) == pytest.approx(2500)
    assert target.reached(1000)
    assert not target.reached(999)
