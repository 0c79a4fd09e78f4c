"""How large the window should be: a hill climber on the hit ratio. Pure.

Einziger, Eytan, Friedman, Manes, "Adaptive Software Cache Management", Middleware 2018.
"""

from __future__ import annotations

from math import copysign

LEAST, MOST = 0.01, 0.8
"""The window's share of the cache, at least and at most."""

STEP = 0.0625
"""What the share is first changed by."""

DECAY = 0.98
"""Each step is so much of the last."""

RESTART = 0.05
"""A change of the hit ratio of this much tells that the load has changed: the steps are large again."""

PERIOD = 10
"""A step after this many accesses for each entry."""


class HillClimber:
    """Goes on in the direction that made the hit ratio rise, and turns around when it falls."""

    __slots__ = ("_ratio", "_step", "hits", "misses", "share")

    def __init__(self) -> None:
        self.share = LEAST
        self.hits = self.misses = 0
        self._ratio = 0.0
        self._step = STEP

    def climb(self, entries: int) -> None:
        """Take a step, if it is time for one with so many *entries*."""
        uses = self.hits + self.misses
        if uses < entries * PERIOD:
            return
        ratio = self.hits / uses
        change, self._ratio = ratio - self._ratio, ratio
        self.hits = self.misses = 0
        step = self._step if change >= 0 else -self._step
        self.share = min(max(self.share + step, LEAST), MOST)
        self._step = copysign(STEP, step) if abs(change) >= RESTART else step * DECAY
