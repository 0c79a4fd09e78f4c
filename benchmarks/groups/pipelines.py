"""Four stages together, on the happy path."""

from __future__ import annotations

from ..caches import PLAIN
from ..contest import Group, Library, Row, entrants, ours_and_namesake
from ..policies import (
    SEVERAL,
    awaited_elsewhere,
    caught,
    chain,
    counted,
    pybreaker_guarded,
    resilient_with,
    tenacity_retrying,
)
from .stages import awaited, called

FALLING_BACK = ("fallback", "retry", "circuit_breaker", "bulkhead")
TIMED = ("retry", "circuit_breaker", "bulkhead", "timeout")

SYNC_FALLING_BACK = "fallback, retry, circuit breaker, bulkhead, sync"
SYNC_TIMED = "retry, circuit breaker, bulkhead, timeout, sync"
ASYNC_FALLING_BACK = "fallback, retry, circuit breaker, bulkhead, async"
ASYNC_TIMED = "retry, circuit breaker, bulkhead, timeout, async"


def _row(name: str, stages: tuple[str, ...], stacked: Library) -> Row:
    libraries = (PLAIN, *ours_and_namesake(resilient_with(*stages)), stacked)
    return Row(name, "seconds", entrants(libraries, called), threaded="timeout" in stages)


def _async_row(name: str, stages: tuple[str, ...]) -> Row:
    libraries = (PLAIN, *ours_and_namesake(resilient_with(*stages)))
    return Row(name, "seconds", entrants(libraries, awaited))


GROUP = Group(
    "Four stages, happy path",
    "Nothing fails and nobody listens. Stacked are tenacity, pybreaker and the standard library's semaphore and "
    "thread pool, which do the same for plain functions.",
    (
        _row(
            SYNC_FALLING_BACK,
            FALLING_BACK,
            Library(SEVERAL, chain(caught, tenacity_retrying, pybreaker_guarded, counted)),
        ),
        _row(
            SYNC_TIMED,
            TIMED,
            Library(SEVERAL, chain(tenacity_retrying, pybreaker_guarded, counted, awaited_elsewhere)),
        ),
        _async_row(ASYNC_FALLING_BACK, FALLING_BACK),
        _async_row(ASYNC_TIMED, TIMED),
    ),
)
