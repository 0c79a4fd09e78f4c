"""A call whose result is not in the cache, which is full: the function runs, a result is kept, another one goes."""

from __future__ import annotations

from ..caches import ASYNC_LRU, CACHEBOX, CACHETOOLS, CACHETOOLS_BY_HAND, FUNCTOOLS, PLAIN, RESILIENT
from ..contest import Group, Row, Wrap, entrants
from ..subjects import one, one_async
from ..timing import Timed, timed, timed_async

MISS = "sync miss with eviction: `f(new)`"
ASYNC_MISS = "async miss with eviction: `await f(new)`"


def _missed(wrap: Wrap) -> Timed:
    return timed("f(i)", copies=1, f=wrap(one))


def _missed_async(wrap: Wrap) -> Timed:
    return timed_async("f(i)", copies=1, f=wrap(one_async))


GROUP = Group(
    "Cache misses",
    "Every call has a key that never came before and the cache of 256 entries is full. The function returns its "
    "argument; making the next key is part of every figure.",
    (
        Row(
            MISS,
            "seconds",
            entrants((PLAIN, FUNCTOOLS, *RESILIENT, CACHETOOLS_BY_HAND, CACHETOOLS, CACHEBOX), _missed),
        ),
        Row(
            ASYNC_MISS,
            "seconds",
            entrants((PLAIN, *RESILIENT, ASYNC_LRU, CACHEBOX), _missed_async),
        ),
    ),
)
