"""What a cache is asked for: lists of keys, each after a pattern of which real loads are made, always the same ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import accumulate, cycle, islice
from random import Random
from typing import TypeAlias

Trace: TypeAlias = list[int]
"""Keys in the order in which they are asked for."""

KEYS = 10_000
"""So many keys have a popularity; others come in some traces as well."""

LENGTH = 300_000
SEED = 1966


@cache
def zipf(exponent: float, length: int = LENGTH) -> Trace:
    """Independent draws: the probability of the k-th most popular key is proportional to 1 / k ** *exponent*."""
    weights = [*accumulate(1 / rank**exponent for rank in range(1, KEYS + 1))]
    return Random(SEED).choices(range(KEYS), cum_weights=weights, k=length)


@cache
def one_hit_wonders() -> Trace:
    """Zipf(1.0), but every third access is to a key that never comes again."""
    trace = [*zipf(1.0)]
    wonders = range(0, LENGTH, 3)
    trace[::3] = range(KEYS, KEYS + len(wonders))
    return trace


@cache
def scan() -> Trace:
    """Zipf(1.0), and after every 10 000 accesses 5000 other keys, one after the other, the same each time."""
    popular = iter(zipf(1.0, LENGTH * 2 // 3))
    trace: Trace = []
    while part := [*islice(popular, 10_000)]:
        trace += part
        trace += range(KEYS, KEYS + 5_000)
    return trace


@cache
def loop(size: int) -> Trace:
    """Twice as many keys as fit into the cache, one after the other, over and over."""
    return [*islice(cycle(range(2 * size)), LENGTH)]


@cache
def drift() -> Trace:
    """Zipf(1.0), but every 100 accesses the least popular key becomes the most popular; the others fall by a place."""
    return [(rank - place // 100) % KEYS for place, rank in enumerate(zipf(1.0))]


@cache
def upheaval() -> Trace:
    """Zipf(1.0), but every 30 000 accesses chance decides anew which key is how popular."""
    trace, keys, dice = [*zipf(1.0)], [*range(KEYS)], Random(SEED)
    for start in range(0, LENGTH, 30_000):
        dice.shuffle(keys)
        trace[start : start + 30_000] = [keys[rank] for rank in trace[start : start + 30_000]]
    return trace


@cache
def recency() -> Trace:
    """The later a key was used, the likelier it comes next: Zipf(1.0) tells how many others were used since."""
    used = [*range(KEYS)]
    trace = []
    for others in zipf(1.0):
        key = used.pop(-1 - others)
        used.append(key)
        trace.append(key)
    return trace


TRACES: dict[str, Callable[[int], Trace]] = {
    "Zipf 0.8": lambda size: zipf(0.8),
    "Zipf 1.0": lambda size: zipf(1.0),
    "Zipf 1.2": lambda size: zipf(1.2),
    "one-hit wonders": lambda size: one_hit_wonders(),
    "scan": lambda size: scan(),
    "loop": loop,
    "drift": lambda size: drift(),
    "upheaval": lambda size: upheaval(),
    "recency": lambda size: recency(),
}
"""By name; what makes one is told the size of the cache."""
