"""The stages that are compared, each as a decorator, and what others offer in their place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import BoundedSemaphore
from typing import Any

from .contest import Library, Wrap, ours_and_namesake

STAGES = ("fallback", "retry", "circuit_breaker", "rate_limiter", "bulkhead", "timeout")
NO_LIMIT = 10_000_000
"""Calls per second that no run reaches: the limiter counts, and never refuses."""

ATTEMPTS, CALLS, PATIENCE = 3, 10, 30.0


def resilient_with(*stages: str, cache: bool = False, metered: bool = False) -> Wrap:
    """Ours, or in its own process the namesake's, with these stages; *metered*: ours, its runs counted and timed."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        import pyresilience as package

        makers: dict[str, Callable[[], Any]] = {
            "fallback": partial(package.FallbackConfig, handler=stand_in),
            "retry": partial(package.RetryConfig, max_attempts=ATTEMPTS),
            "circuit_breaker": package.CircuitBreakerConfig,
            "rate_limiter": partial(package.RateLimiterConfig, max_calls=NO_LIMIT, period=1.0),
            "bulkhead": partial(package.BulkheadConfig, max_concurrent=CALLS),
            "timeout": partial(package.TimeoutConfig, seconds=PATIENCE),
        }
        configs: dict[str, Any] = {stage: makers[stage]() for stage in stages}
        if cache:
            configs["cache"] = package.CacheConfig()
        if metered:
            configs["listeners"] = [package.PipelineMetrics()]
        return package.resilient(**configs)(function)

    return wrap


def resilient_again_at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Ours, or the namesake's, that tries again without a pause."""
    from pyresilience import RetryConfig, resilient

    return resilient(retry=RetryConfig(max_attempts=ATTEMPTS, delay=0, jitter=False))(function)


def tenacity_retrying(function: Callable[..., Any]) -> Callable[..., Any]:
    """With pauses that grow."""
    from tenacity import retry, stop_after_attempt, wait_random_exponential

    return retry(stop=stop_after_attempt(ATTEMPTS), wait=wait_random_exponential(), reraise=True)(function)


def tenacity_again_at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without a pause."""
    from tenacity import retry, stop_after_attempt

    return retry(stop=stop_after_attempt(ATTEMPTS), reraise=True)(function)


def stamina_retrying(function: Callable[..., Any]) -> Callable[..., Any]:
    """With pauses that grow."""
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])
    return stamina.retry(on=Exception, attempts=ATTEMPTS)(function)


def stamina_again_at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without a pause; nobody listens."""
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])
    return stamina.retry(on=Exception, attempts=ATTEMPTS, wait_initial=0, wait_max=0, wait_jitter=0)(function)


def pybreaker_guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """For plain functions only; its support for coroutines needs Tornado."""
    from pybreaker import CircuitBreaker

    return CircuitBreaker()(function)


def stand_in(error: BaseException) -> None:
    """What a fallback answers."""


def caught(function: Callable[..., Any]) -> Callable[..., Any]:
    """A fallback by hand."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            return stand_in(error)

    return wrapper


def caught_async(function: Callable[..., Any]) -> Callable[..., Any]:
    """A fallback by hand."""

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except Exception as error:
            return stand_in(error)

    return wrapper


def counted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A bulkhead by hand."""
    places = BoundedSemaphore(CALLS)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with places:
            return function(*args, **kwargs)

    return wrapper


def counted_async(function: Callable[..., Any]) -> Callable[..., Any]:
    """A bulkhead by hand."""
    places = asyncio.BoundedSemaphore(CALLS)

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        async with places:
            return await function(*args, **kwargs)

    return wrapper


def awaited_elsewhere(function: Callable[..., Any]) -> Callable[..., Any]:
    """A timeout by hand: another thread runs the function."""
    pool = ThreadPoolExecutor(CALLS)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return pool.submit(function, *args, **kwargs).result(PATIENCE)

    return wrapper


def bounded_async(function: Callable[..., Any]) -> Callable[..., Any]:
    """A timeout by hand."""

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await function(*args, **kwargs)

    return wrapper


def chain(*wraps: Wrap) -> Wrap:
    """Several decorators, outermost first."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        for each in reversed(wraps):
            function = each(function)
        return function

    return wrap


BY_HAND = "standard library by hand"
SEVERAL = "several libraries, stacked"

ELSEWHERE: dict[str, tuple[Library, ...]] = {
    "fallback": (Library(BY_HAND, caught),),
    "retry": (Library("tenacity", tenacity_retrying), Library("stamina", stamina_retrying)),
    "circuit_breaker": (Library("pybreaker", pybreaker_guarded),),
    "bulkhead": (Library(BY_HAND, counted),),
    "timeout": (Library(BY_HAND, awaited_elsewhere),),
}
"""What others offer in the place of a stage."""

ELSEWHERE_ASYNC: dict[str, tuple[Library, ...]] = {
    "fallback": (Library(BY_HAND, caught_async),),
    "retry": ELSEWHERE["retry"],
    "bulkhead": (Library(BY_HAND, counted_async),),
    "timeout": (Library(BY_HAND, bounded_async),),
}

AGAIN_AT_ONCE = (
    *ours_and_namesake(resilient_again_at_once),
    Library("tenacity", tenacity_again_at_once),
    Library("stamina", stamina_again_at_once),
)
