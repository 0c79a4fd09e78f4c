"""What many samples say: the middle, the spread, and how two contestants compare. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles


@dataclass(slots=True)
class Score:
    """The samples of one contestant in one row, one per round, or why it failed."""

    samples: list[float] = field(default_factory=list)
    failed: str | None = None


def ratio(of: Score, to: Score) -> float:
    """The median, over the rounds, of *of* as a multiple of *to*; what shifts the whole machine shifts it little."""
    return median(one / other for one, other in zip(of.samples, to.samples, strict=True))


def spread(samples: Sequence[float]) -> float:
    """Half the distance between the quartiles, as a share of the median: half of all samples lie this near to it."""
    if len(samples) < 2:
        return 0.0
    first, middle, third = quantiles(samples, method="inclusive")
    return (third - first) / 2 / middle
