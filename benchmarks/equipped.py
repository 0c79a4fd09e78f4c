"""Our cache with one option each, and the peers that have the same one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .caches import SIZE, TTL, resilient_cached
from .contest import OURS, Library, Wrap


def equipped(**options: Any) -> Wrap:
    """Ours, with these options."""

    def wrap(function: Callable[..., Any], size: int = SIZE) -> Callable[..., Any]:
        from pyresilience import CacheConfig, resilient

        return resilient(cache=CacheConfig(**{"max_size": size, "ttl": TTL} | options))(function)

    return wrap


def stale_for_ever(function: Callable[..., Any], size: int = SIZE) -> Callable[..., Any]:
    """Ours, where every entry is stale at once, and no reload is made for an hour after one that fails."""
    from pyresilience import CacheConfig, resilient
    from pyresilience.testing import FakeClock

    clock, healthy = FakeClock(), [True]

    def perhaps(*args: Any) -> Any:
        if not healthy[0]:
            raise ConnectionError
        return function(*args)

    config = CacheConfig(max_size=size, ttl=TTL, stale_while_revalidate=1e9, reload_cooldown=1e9)
    cached = resilient(cache=config, clock=clock)(perhaps)
    cached(1)
    clock.advance(2 * TTL)
    healthy[0] = False
    cached(1)
    assert cached.cache is not None
    cached.cache.close()
    return cached


def cachetools_weighed(function: Callable[..., Any], size: int = SIZE) -> Callable[..., Any]:
    """The decorator of cachetools around its cache with a time limit and weights, safe for threads."""
    from threading import Lock

    from cachetools import TTLCache, cached

    return cached(TTLCache(size, TTL, getsizeof=lambda value: 1), lock=Lock())(function)


def _ours(name: str, **options: Any) -> Library:
    return Library(f"{OURS}, {name}" if options else OURS, equipped(**options) if options else resilient_cached, "ours")


def weightless(value: Any) -> int:  # noqa: ARG001 - every result weighs the same
    """Weigh nothing but their number."""
    return 1


PLAIN = _ours("")
ZONED = _ours("zones", refresh_ahead=0.8, stale_while_revalidate=60, stale_if_error=600, soft_timeout=1)
STALE = Library(f"{OURS}, stale", stale_for_ever, "ours")
TAGGED = _ours("tags", tags=("users", "user:{number}"))
COPIED = _ours("copy", copy="shallow")
IDLE = _ours("tti", tti=TTL)
VARIED = _ours("version", version="2")
WEIGHED = _ours("weights", max_weight=10**9, weigher=weightless)
CACHETOOLS_WEIGHED = Library("cachetools, weights", cachetools_weighed)
POLICIES = tuple(_ours(policy, policy=policy) for policy in ("s3fifo", "sieve", "tinylfu"))
