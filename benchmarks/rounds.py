"""The run: in each round every contestant of a row gives one sample, in an order that the dice decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from .contest import Row
from .crew import Crew, SampleError
from .summary import Score

Scores: TypeAlias = dict[str, dict[str, Score]]
"""Row, contestant → score."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Args:
        passes: How often all processes are started afresh; what differs from process to process evens out.
        rounds: Samples of each contestant per pass.
        seconds: How long a sample takes.
    """

    passes: int
    rounds: int
    seconds: float


FULL = Effort(passes=3, rounds=30, seconds=0.015)
QUICK = Effort(passes=1, rounds=13, seconds=0.010)


def run(rows: Sequence[Row], effort: Effort, missing: str | None, tell: Callable[[str], None]) -> Scores:
    """Measure *rows*; *missing* says why the namesake cannot take part, if so."""
    scores = {row.name: {contestant.name: Score() for contestant in row.contestants} for row in rows}
    dice = Random()
    for number in range(1, effort.passes + 1):
        with Crew(missing) as crew:
            for place, row in enumerate(rows, 1):
                if row.once and number > 1:
                    continue
                tell(f"pass {number} of {effort.passes}, row {place} of {len(rows)}: {row.name}")
                for _ in range(min(row.rounds or effort.rounds, effort.rounds)):
                    _round(row, scores[row.name], crew, effort.seconds, dice)
    return scores


def _round(row: Row, scores: dict[str, Score], crew: Crew, seconds: float, dice: Random) -> None:
    for contestant in dice.sample(row.contestants, len(row.contestants)):
        score = scores[contestant.name]
        if score.failed is not None:
            continue
        try:
            score.samples.append(crew.sample(contestant.home, row.name, contestant.name, seconds))
        except SampleError as error:
            score.failed = str(error)
