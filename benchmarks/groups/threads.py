"""Hits from several threads: what of one thread's throughput is left when eight share the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from threading import Barrier, Thread
from time import perf_counter
from typing import Any

from ..caches import CACHEBOX, CACHETOOLS_BY_HAND, FUNCTOOLS, RESILIENT
from ..contest import Group, Row, Sample, Wrap, entrants
from ..subjects import one

HOT = "8 threads on 1000 hot keys, share of one thread's throughput"

_THREADS, _KEYS, _SIZE = 8, 1000, 1024
_STRETCH = 8
"""A sample is so many times longer than others: threads take turns of 5 ms."""


def shared_work(wrap: Wrap) -> Sample:
    """Compare eight threads on the same keys with one."""
    function = wrap(one, _SIZE)
    keys = list(range(_KEYS))
    walks = [Random(seed).sample(keys, _KEYS) for seed in range(_THREADS)]
    whole = [key for walk in walks for key in walk]
    once = _seconds(function, [whole], 1)

    def share(seconds: float) -> float:
        """One thread's time for all walks over the time of eight threads with one walk each."""
        turns = max(1, round(_STRETCH * seconds / once))
        return _seconds(function, [whole], turns) / _seconds(function, walks, turns)

    return share


def _seconds(function: Callable[[int], Any], walks: Sequence[Sequence[int]], turns: int) -> float:
    """From when the first thread begins until the last one ends; each takes its own walk over the keys *turns* times."""
    ready = Barrier(len(walks))
    spans: list[tuple[float, float]] = []

    def work(walk: Sequence[int]) -> None:
        ready.wait()
        began = perf_counter()
        for _ in range(turns):
            for key in walk:
                function(key)
        spans.append((began, perf_counter()))

    threads = [Thread(target=work, args=(walk,)) for walk in walks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(spans) < len(walks):
        raise RuntimeError("a thread died")
    return max(end for _, end in spans) - min(begin for begin, _ in spans)


GROUP = Group(
    "Threads",
    "The same hits, first by one thread, then shared by eight. With a global interpreter lock 100 % is the best that a "
    "cache can keep.",
    (
        Row(
            HOT,
            "share",
            entrants((FUNCTOOLS, *RESILIENT, CACHETOOLS_BY_HAND, CACHEBOX), shared_work),
            rounds=6,
            threaded=True,
        ),
    ),
)
