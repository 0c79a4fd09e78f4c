"""Durations that stand for those in a histogram: for those who can only be told single ones. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import isfinite
from random import random

from ..latencies import EDGES, Latencies

MIDDLE = 0.5
LEAST = 1e-6
"""How far into its bucket a duration stands: a bucket's lower bound belongs to the one below."""


def durations(histogram: Latencies) -> list[tuple[float, int]]:
    """Per bucket that is not empty, a duration within it, in seconds, and how many it stands for.

    All stand equally far into their buckets, as far as it takes for them to add up to the histogram's total.
    """
    bounds = pairwise((0.0, *EDGES))
    *bounded, unbounded = histogram.counts
    parts = [(lower, upper, count) for (lower, upper), count in zip(bounds, bounded, strict=True) if count]
    least = sum(lower * count for lower, _, count in parts)
    most = sum(upper * count for _, upper, count in parts)
    inside = MIDDLE
    if not unbounded and isfinite(histogram.total) and most > least:
        inside = min(1.0, max(LEAST, (histogram.total - least) / (most - least)))
    found = [(lower + (upper - lower) * inside, count) for lower, upper, count in parts]
    if unbounded:
        rest = histogram.total - sum(seconds * count for seconds, count in found)
        found.append((max(EDGES[-1] * (1 + LEAST), rest / unbounded) if isfinite(rest) else EDGES[-1], unbounded))
    return found


def thinned(
    parts: Iterable[tuple[float, int]], most: int, die: Callable[[], float] = random
) -> list[tuple[float, int]]:
    """*parts* as they are, or a sample of about *most* of what they stand for, in true proportions on average."""
    parts = list(parts)
    count = sum(each for _, each in parts)
    if count <= most:
        return parts
    return [(seconds, int(each * most / count + die())) for seconds, each in parts]
