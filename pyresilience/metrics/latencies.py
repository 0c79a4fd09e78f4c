"""How long things took, as counts in buckets: small, exact to add up, good enough for quantiles. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

_STEPS = (1.0, 1.6, 2.5, 4.0, 6.3)
"""Preferred numbers, five per decade (ISO 3, series R5)."""

EDGES: tuple[float, ...] = (*(float(f"{step}e{decade}") for decade in range(-7, 2) for step in _STEPS), 100.0)
"""Upper bounds of the buckets, in seconds: 100 ns to 100 s. What took longer stands in a last bucket without a bound."""

BUCKETS = len(EDGES) + 1


def bucket(seconds: float) -> int:
    """The place of the bucket for what took *seconds*."""
    return bisect_left(EDGES, seconds)


@dataclass(frozen=True, slots=True, repr=False)
class Latencies:
    """A histogram of durations.

    Args:
        counts: How many fell into each bucket, the one without an upper bound last; see `EDGES`.
        total: The sum of all durations, in seconds.
    """

    counts: tuple[int, ...] = (0,) * BUCKETS
    total: float = 0.0

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Their average, in seconds; None: there are none."""
        count = self.count
        return self.total / count if count else None

    def quantile(self, share: float) -> float | None:
        """The duration in seconds that this *share* (0..1) of them did not exceed; None: there are none.

        Within a bucket they are taken to lie evenly, so the error is below the bucket's width: a factor of 1.6. If all
        lie in one, it is their mean; otherwise what took longer than 100 s counts as 100 s.

        Raises:
            ValueError: *share* is not within 0..1.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a share must be between 0 and 1, got {share!r}")
        below = list(accumulate(self.counts))
        if not below[-1]:
            return None
        rank = share * below[-1]
        place = next(place for place, reached in enumerate(below) if reached >= rank and self.counts[place])
        if self.counts[place] == below[-1]:
            return self.mean
        lower, upper = EDGES[place - 1] if place else 0.0, EDGES[min(place, len(EDGES) - 1)]
        inside = (rank - (below[place] - self.counts[place])) / self.counts[place]
        return min(lower, upper) + max(0.0, upper - lower) * inside

    def __repr__(self) -> str:
        return f"<Latencies of {self.count}: {self.total:.6g} s>"

    def __add__(self, other: Latencies) -> Latencies:
        counts = tuple(one + another for one, another in zip(self.counts, other.counts, strict=True))
        return Latencies(counts, self.total + other.total)

    def cumulative(self, every: int = 2) -> list[tuple[float, int]]:
        """`(upper bound, how many did not exceed it)`, of each bound or of *every* second, third … one, infinity last."""
        below = list(accumulate(self.counts))
        bounds = [(edge, below[place]) for place, edge in enumerate(EDGES) if place % every == 0]
        return [*bounds, (float("inf"), below[-1])]


NOTHING = Latencies()
"""Nothing was timed."""


def latencies(counts: Sequence[float], total: float) -> Latencies:
    """A histogram from counts that were kept as floats."""
    return Latencies(tuple(map(int, counts)), float(total))
