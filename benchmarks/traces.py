"""Accesses to a cache, as lists of keys: each kind is a pattern that real loads are made of, drawn with a fixed seed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, cycle, islice
from random import Random
from typing import TypeAlias

Trace: TypeAlias = list[int]
"""The keys that are asked for, in order."""

KEYS = 10_000
"""Keys of a trace, those not counted that come once."""

LENGTH = 300_000
SEED = 20_231_023


def zipf(exponent: float, length: int = LENGTH) -> Trace:
    """Independent draws; the k-th most popular key comes with a probability proportional to 1 / k ** *exponent*."""
    weights = [*accumulate(1 / rank**exponent for rank in range(1, KEYS + 1))]
    return Random(SEED).choices(range(KEYS), cum_weights=weights, k=length)


def one_hit_wonders() -> Trace:
    """Zipf(1.0), but every third access is to a key that never comes again."""
    trace = zipf(1.0)
    trace[::3] = range(KEYS, KEYS + len(trace[::3]))
    return trace


def scan() -> Trace:
    """Zipf(1.0), and after each 10 000 accesses somebody reads 5000 other keys in order, the same each time."""
    popular = iter(zipf(1.0, LENGTH * 2 // 3))
    trace: Trace = []
    while part := [*islice(popular, 10_000)]:
        trace += part
        trace += range(KEYS, KEYS + 5_000)
    return trace


def loop(size: int) -> Trace:
    """Twice as many keys as the cache holds, in order, over and over."""
    return [*islice(cycle(range(2 * size)), LENGTH)]


def shifting() -> Trace:
    """Zipf(1.0), but every 1000 accesses another key becomes the most popular, and each other one place less so."""
    return [(rank - place // 1_000 * 1) % KEYS for place, rank in enumerate(zipf(1.0))]


def recency() -> Trace:
    """The longer ago a key was used, the less likely it comes next: how far down an LRU stack is drawn by Zipf(1.0)."""
    stack = [*range(KEYS)]
    trace = []
    for depth in zipf(1.0):
        key = stack.pop(-1 - depth)
        stack.append(key)
        trace.append(key)
    return trace


TRACES: dict[str, Callable[[int], Trace]] = {
    "Zipf 0.8": lambda size: zipf(0.8),
    "Zipf 1.0": lambda size: zipf(1.0),
    "Zipf 1.2": lambda size: zipf(1.2),
    "one-hit wonders": lambda size: one_hit_wonders(),
    "scan": lambda size: scan(),
    "loop": loop,
    "shifting": lambda size: shifting(),
    "recency": lambda size: recency(),
}
