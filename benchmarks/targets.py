"""What this package has set out to reach, and whether it does. Nothing fails when it does not: it is reported. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from .contest import BARE, NAMESAKE, OURS
from .equipped import ZONED
from .groups import ROWS
from .groups.asking import ASKING, ASKING_WINDOW, WEIGHT
from .groups.cold_keys import COROUTINES, THREADS
from .groups.footprint import DECORATING, DECORATING_ALL, IMPORTING, MEMORY, STARTING
from .groups.hit_ratios import LARGE, LOOP, LRU, S3FIFO, SMALL, TINYLFU
from .groups.hits import ASYNC_ONE, ONE, THREE
from .groups.metrics import GROWTH, HIT, HIT_ASYNC, HIT_THREADS, HIT_THREE
from .groups.misses import MISS
from .groups.options import HIT as OPTIONS_HIT
from .groups.pipelines import ASYNC_FALLING_BACK, ASYNC_TIMED, SYNC_FALLING_BACK, SYNC_TIMED
from .groups.sandbox import COLD, RUN, RUN_ASYNC
from .groups.threads import HOT
from .metered import METERED, SAMPLED
from .summary import Score, ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A limit for our figure in a row: on its own, as a multiple of another's, or for theirs as a multiple of ours.

    Args:
        row: The measure.
        at_most: Our figure, in the unit of the row, may be no larger.
        at_least: Our figure may be no smaller.
        times: *at_most* is a multiple of this contestant's figure.
        faster_than: *at_least* is what a multiple of ours this contestant's figure is.
        of: Whose figure ours is, where we take part more than once.
    """

    row: str
    at_most: float | None = None
    at_least: float | None = None
    times: str | None = None
    faster_than: str | None = None
    of: str = OURS

    def measured(self, scores: Mapping[str, Mapping[str, Score]]) -> float | None:
        """The figure that is compared with the limit; None: it was not measured."""
        row = scores.get(self.row, {})
        involved = [row.get(name) for name in (self.of, self.times, self.faster_than) if name is not None]
        if any(score is None or score.failed is not None or not score.samples for score in involved):
            return None
        ours = row[self.of]
        if self.times is not None:
            return ratio(ours, row[self.times])
        if self.faster_than is not None:
            return ratio(row[self.faster_than], ours)
        return max(ours.samples) if ROWS[self.row].worst else median(ours.samples)

    def reached(self, figure: float) -> bool:
        """Whether *figure* keeps to the limit."""
        low_enough = self.at_most is None or figure <= self.at_most
        return low_enough and (self.at_least is None or figure >= self.at_least)


TARGETS = (
    Target(row=ONE, at_most=5, times="functools.lru_cache"),
    Target(row=ONE, at_least=6, faster_than=NAMESAKE),
    Target(row=THREE, at_most=6, times="functools.lru_cache"),
    Target(row=THREE, at_least=4, faster_than=NAMESAKE),
    Target(row=ASYNC_ONE, at_most=4.5, times=BARE),
    Target(row=ASYNC_ONE, at_least=6, faster_than=NAMESAKE),
    Target(row=MISS, at_least=2.5, faster_than=NAMESAKE),
    Target(row=HOT, at_least=0.9),
    Target(row=SYNC_FALLING_BACK, at_least=3, faster_than=NAMESAKE),
    Target(row=SYNC_TIMED, at_least=3, faster_than=NAMESAKE),
    Target(row=ASYNC_FALLING_BACK, at_least=3, faster_than=NAMESAKE),
    Target(row=ASYNC_TIMED, at_least=3, faster_than=NAMESAKE),
    Target(row=THREADS, at_least=1, at_most=1),
    Target(row=COROUTINES, at_least=1, at_most=1),
    Target(row=SMALL, of=LRU, at_least=0.388, at_most=0.394),
    Target(row=LARGE, of=LRU, at_least=0.672, at_most=0.678),
    Target(row=SMALL, of=S3FIFO, at_least=0.50),
    Target(row=LARGE, of=S3FIFO, at_least=0.73),
    Target(row=LARGE, of=TINYLFU, at_least=0.735),
    Target(row=LOOP, of=TINYLFU, at_least=0.47),
    Target(row=OPTIONS_HIT, of=ZONED.name, at_most=1.05, times=OURS),
    Target(row=HIT, of=METERED, at_most=1.25, times=OURS),
    Target(row=HIT, of=SAMPLED, at_most=1.25, times=OURS),
    Target(row=HIT_THREE, of=METERED, at_most=1.25, times=OURS),
    Target(row=HIT_ASYNC, of=METERED, at_most=1.25, times=OURS),
    Target(row=HIT_THREADS, of=METERED, at_least=0.9),
    Target(row=GROWTH, of=METERED, at_most=1.5),
    Target(row=ASKING, at_most=100e-6),
    Target(row=ASKING_WINDOW, at_most=100e-6),
    Target(row=WEIGHT, at_most=64 * 1024),
    Target(row=RUN, at_least=1000, faster_than=COLD),
    Target(row=RUN_ASYNC, at_least=1000, faster_than=COLD),
    Target(row=MEMORY, at_most=200),
    Target(row=DECORATING, at_most=50e-6),
    Target(row=DECORATING_ALL, at_most=50e-6),
    Target(row=IMPORTING, at_most=60e-3),
    Target(row=STARTING, at_most=60e-3),
)
