"""The two clients of the product service, sync and async, under one pipeline.

This is what an application writes: everything it needs of the library stands in `connect`.
"""

from __future__ import annotations

import asyncio
import http.client
import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreaker,
    CircuitBreakerConfig,
    FallbackConfig,
    RateLimiterConfig,
    RejectedError,
    ResilienceListener,
    ResultCache,
    RetryBudgetConfig,
    RetryConfig,
    TimeoutConfig,
    remaining,
    resilience_context,
    resilient,
)


@dataclass(frozen=True, slots=True)
class Product:
    """What the service knows about a product."""

    number: int
    name: str
    price: float
    old: bool = False
    """Whether this is how it was when last seen."""


UNKNOWN = Product(number=0, name="(not available right now)", price=0.0, old=True)
"""What a page can show of a product that was never seen."""


class ServiceError(Exception):
    """The service answered, but not with a product."""


TRANSIENT = (OSError, ServiceError)
"""What may be better the next moment. A `ResilienceTimeoutError` is a `TimeoutError`, and so an `OSError`."""

PATIENCE = 10.0
"""Seconds to wait for the service where nobody sets a limit."""


@dataclass(frozen=True, slots=True)
class Clients:
    """What a caller may call."""

    fetch: Callable[[int], Product]
    fetch_async: Callable[[int], Awaitable[Product]]

    def bare(self) -> Clients:
        """The same functions without the library: a decorated function keeps the original as `__wrapped__`."""
        return Clients(inspect.unwrap(self.fetch), inspect.unwrap(self.fetch_async))


@dataclass(frozen=True, slots=True)
class Service(Clients):
    """The guarded clients, with what the demo shows of them."""

    circuit: CircuitBreaker
    listener_errors: Callable[[], int]
    cache_counts: Callable[[], tuple[int, int]]
    """Hits (of both kinds) and misses, as the caches count them."""


def connect(port: int, listener: ResilienceListener) -> Service:
    """The clients of the service at *port*. They share a pipeline: one circuit, one limit and one budget for it."""
    last_seen = ResultCache(CacheConfig(max_size=1000, ttl=0))

    def remembered(_error: Exception) -> Product:
        """Rather an old product than an error. Which one is wanted, the caller's context says."""
        context = resilience_context.get() or {}
        product: Product = last_seen.get(context.get("product"), UNKNOWN)
        return product

    guarded = resilient(
        cache=CacheConfig(max_size=500, ttl=2.0, enable_metrics=True),
        fallback=FallbackConfig(handler=remembered, fallback_on=(*TRANSIENT, RejectedError)),
        retry=RetryConfig(max_attempts=3, delay=0.05, max_delay=0.2, retry_on=TRANSIENT),
        retry_budget=RetryBudgetConfig(max_retries=30, refill_rate=20.0),
        circuit_breaker=CircuitBreakerConfig(window_seconds=1.0, minimum_calls=20, recovery_timeout=0.5),
        rate_limiter=RateLimiterConfig(max_calls=30, period=0.1, max_wait=0.2),
        bulkhead=BulkheadConfig(max_concurrent=24, max_wait=0.1),
        timeout=TimeoutConfig(seconds=0.25),
        listeners=[listener],
    )

    @guarded
    def fetch(number: int) -> Product:
        """Ask for a product, from a thread."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_patience())
        try:
            connection.request("GET", f"/products/{number}")
            response = connection.getresponse()
            product = _product(response.status, response.read())
        finally:
            connection.close()
        last_seen.put(number, replace(product, old=True))
        return product

    @guarded
    async def fetch_async(number: int) -> Product:
        """Ask for a product, from an event loop."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET /products/{number} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        finally:
            writer.close()
        if not head:
            raise ConnectionResetError("the service closed the connection without an answer")
        product = _product(int(head.split(b" ", 2)[1]), body)
        last_seen.put(number, replace(product, old=True))
        return product

    def cache_counts() -> tuple[int, int]:
        infos = (fetch.cache_info(), fetch_async.cache_info())
        return sum(info.hits for info in infos), sum(info.misses for info in infos)

    assert fetch.circuit_breaker is not None
    return Service(fetch, fetch_async, fetch.circuit_breaker, lambda: guarded.listener_errors, cache_counts)


def _patience() -> float:
    """Seconds this attempt has left: no use in a thread that waits on after its caller has given up."""
    left = remaining()
    return PATIENCE if left is None else max(left, 0.001)


def _product(status: int, body: bytes) -> Product:
    if status != 200:
        raise ServiceError(f"the service answered with status {status}")
    return Product(**json.loads(body))
