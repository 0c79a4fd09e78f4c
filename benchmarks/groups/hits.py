"""A call whose result is in the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..caches import (
    ASYNC_LRU,
    CACHEBOX,
    CACHETOOLS,
    CACHETOOLS_BY_HAND,
    FORWARDING,
    FUNCTOOLS,
    PLAIN,
    RESILIENT,
)
from ..contest import Contestant, Group, Library, Row, Wrap, entrants
from ..subjects import one, one_async, three
from ..timing import Timed, timed, timed_async

ONE = "sync hit, one int: `f(1)`"
THREE = "sync hit, two arguments and a keyword: `f(1, 2, third=3)`"
ASYNC_ONE = "async hit, one int: `await f(1)`"


def _hits(call: str, subject: Callable[..., Any], *libraries: Library) -> tuple[Contestant, ...]:
    def measure(wrap: Wrap) -> Timed:
        return timed(call, f=wrap(subject))

    return entrants(libraries, measure)


def _awaited(wrap: Wrap) -> Timed:
    return timed_async("f(1)", f=wrap(one_async))


SYNC = Group(
    "Cache hits",
    "The result is there. The bare call and the plain wrapper run the function, which returns its argument.",
    (
        Row(
            ONE,
            "seconds",
            _hits("f(1)", one, PLAIN, FORWARDING, FUNCTOOLS, *RESILIENT, CACHETOOLS_BY_HAND, CACHETOOLS, CACHEBOX),
        ),
        Row(
            THREE,
            "seconds",
            _hits("f(1, 2, third=3)", three, PLAIN, FORWARDING, FUNCTOOLS, *RESILIENT, CACHETOOLS, CACHEBOX),
        ),
    ),
)

ASYNC = Group(
    "Cache hits, awaited",
    "Time per `await` inside one running coroutine under asyncio.",
    (
        Row(
            ASYNC_ONE,
            "seconds",
            entrants((PLAIN, *RESILIENT, ASYNC_LRU, CACHEBOX), _awaited),
        ),
    ),
)
