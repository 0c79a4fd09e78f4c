"""The plot: when the upstream is well, slow and down. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Phase = Literal["healthy", "slow", "outage"]

PLOT: tuple[tuple[float, Phase], ...] = ((0.0, "healthy"), (0.25, "slow"), (0.40, "outage"), (0.65, "healthy"))
"""Which phase begins after which share of the run."""

WHOLE = 8.0
"""From so many seconds on, phases begin on whole seconds, as the rows of the table do."""


@dataclass(frozen=True, slots=True)
class Beat:
    """One row of the table: a second, or what a change of phase leaves of it."""

    begins: float
    ends: float
    phase: Phase


def beats(seconds: float, pace: float = 1.0) -> list[Beat]:
    """The rows of a run of *seconds*: one ends with every second and with every phase.

    With *pace*: the phases of that run, each *pace* times as long.
    """
    starts = [share * seconds for share, _ in PLOT]
    if seconds >= WHOLE:
        starts = [float(round(start)) for start in starts]
    starts, end = [start * pace for start in starts], seconds * pace
    marks = {*starts, end, *(float(second) for second in range(int(end) + 1))}
    rows = []
    for begins, ends in pairwise(sorted(mark for mark in marks if mark <= end)):
        place = sum(start <= begins for start in starts) - 1
        rows.append(Beat(begins, ends, PLOT[place][1]))
    return rows
