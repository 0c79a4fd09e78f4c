"""How much of a cache its newcomers should have: found by climbing the hill of the hit ratio. Pure.

After Einziger, Eytan, Friedman, Manes: "Adaptive Software Cache Management", Middleware 2018.
"""

from __future__ import annotations

from math import copysign, sqrt

LEAST, MOST = 0.01, 0.8
"""The share, at least and at most."""

PERIOD = 10
"""A step is taken after so many uses for each entry."""

STEP, FURTHER, FURTHEST = 0.0625, 2.0, 0.25
"""The first step; how much longer the next one is in a direction that pays; the longest."""

NOISE = 0.8
"""A change of the hit ratio that is less than so many times its standard deviation is taken for chance."""

CREDIBLE = 2.5
"""A hit ratio that changes by more than so many times the step was changed by something else."""

RESTART, PATIENCE = 0.05, 16
"""The least share is left for a trial when the hit ratio changes by so much, or after so many periods."""


class HillClimber:
    """Goes on while the hit ratio rises, turns back when it falls, and where it tells nothing, makes the share smaller."""

    __slots__ = ("_hits", "_misses", "_ratio", "_step", "_waited", "share")

    def __init__(self) -> None:
        self.share = LEAST
        self._hits = self._misses = self._waited = 0
        self._ratio = self._step = 0.0

    def climb(self, hits: int, entries: int) -> None:
        """After so many hits there was a miss, in a full cache of so many entries."""
        self._hits += hits
        self._misses += 1
        uses = self._hits + self._misses
        if uses < entries * PERIOD:
            return
        ratio = self._hits / uses
        change, self._ratio = ratio - self._ratio, ratio
        self._hits = self._misses = 0
        step = self._next(change, NOISE * sqrt((ratio * (1 - ratio) + 1 / uses) / uses))
        share = min(max(self.share + step, LEAST), MOST)
        self._step, self.share = share - self.share, share

    def _next(self, change: float, noise: float) -> float:
        """The step after one that changed the hit ratio by *change*, or seemed to."""
        if noise < abs(change) < CREDIBLE * abs(self._step):
            step = self._step * FURTHER if change > 0 else -self._step
            return copysign(min(abs(step), FURTHEST), step)
        if self.share > LEAST:
            return -STEP
        self._waited += 1
        if abs(change) < RESTART and self._waited < PATIENCE:
            return 0.0
        self._waited = 0
        return STEP
