"""The caches that are compared, each as a decorator `wrap(function, size)`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any

from .contest import BARE, Library, ours_and_namesake

SIZE = 256
TTL = 300.0


def untouched(function: Callable[..., Any], _size: int = SIZE) -> Callable[..., Any]:
    """No decorator at all."""
    return function


def forwarding(function: Callable[..., Any], _size: int = SIZE) -> Callable[..., Any]:
    """The least that a decorator in Python can do: hand the arguments on."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def functools_cached(function: Callable[..., Any], size: int = SIZE) -> Callable[..., Any]:
    """The standard library's, written in C, without a time limit."""
    return lru_cache(maxsize=size)(function)


def resilient_cached(function: Callable[..., Any], size: int = SIZE) -> Callable[..., Any]:
    """Ours, or in its own process the namesake's."""
    from pyresilience import CacheConfig, resilient

    return resilient(cache=CacheConfig(max_size=size, ttl=TTL))(function)


def cachetools_cached(function: Callable[..., Any], size: int = SIZE) -> Callable[..., Any]:
    """The decorator of cachetools around its cache with a time limit, safe for threads."""
    from cachetools import TTLCache, cached

    return cached(TTLCache(size, TTL), lock=Lock())(function)


def cachetools_waiting(function: Callable[..., Any], size: int = SIZE) -> Callable[..., Any]:
    """The same, with callers of one key waiting for each other."""
    from threading import Condition

    from cachetools import TTLCache, cached

    return cached(TTLCache(size, TTL), condition=Condition())(function)


def cachetools_by_hand(function: Callable[[Any], Any], size: int = SIZE) -> Callable[..., Any]:
    """The cache of cachetools, and a lock, in a function written for one argument that is its own key."""
    from cachetools import TTLCache

    kept: Any = TTLCache(size, TTL)
    lock = Lock()

    def look_up(key: Any) -> Any:
        with lock:
            try:
                return kept[key]
            except KeyError:
                pass
        value = function(key)
        with lock:
            kept[key] = value
        return value

    return look_up


def cachebox_cached(function: Callable[..., Any], size: int = SIZE) -> Callable[..., Any]:
    """The decorator of cachebox around its cache with a time limit, written in Rust."""
    from cachebox import TTLCache, cached

    return cached(TTLCache(size, TTL))(function)


def async_lru_cached(function: Callable[..., Any], size: int = SIZE) -> Callable[..., Any]:
    """For coroutine functions only."""
    from async_lru import alru_cache

    return alru_cache(maxsize=size, ttl=TTL)(function)


PLAIN = Library(BARE, untouched)
FORWARDING = Library("plain wrapper", forwarding)
FUNCTOOLS = Library("functools.lru_cache", functools_cached)
RESILIENT = ours_and_namesake(resilient_cached)
CACHETOOLS = Library("cachetools.cached", cachetools_cached)
CACHETOOLS_WAITING = Library("cachetools.cached, condition", cachetools_waiting)
CACHETOOLS_BY_HAND = Library("cachetools.TTLCache + lock", cachetools_by_hand)
CACHEBOX = Library("cachebox.cached", cachebox_cached)
ASYNC_LRU = Library("async_lru", async_lru_cached)
