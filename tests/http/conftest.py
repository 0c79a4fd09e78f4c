"""What the tests of the apps share."""

from __future__ import annotations

import pytest
from gateways import Client

from pyresilience import CacheConfig, CircuitBreakerConfig, resilient


@pytest.fixture(params=["wsgi", "asyncio", "trio"])
def client(request):
    """A client of one kind of app."""
    return Client(request.param)


@pytest.fixture
def price():
    """A cached function with metrics: two misses and one hit."""

    @resilient(cache=CacheConfig(max_size=10, ttl=300, enable_metrics=True))
    def price(item):
        return f"price of {item}"

    for item in ("tea", "tea", "cake"):
        price(item)
    return price


@pytest.fixture
def flaky():
    """A function whose circuit is open."""

    @resilient(
        cache=CacheConfig(max_size=5, ttl=0, enable_metrics=True),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1),
    )
    def flaky(item):
        raise OSError(f"no {item} today")

    with pytest.raises(OSError, match="today"):
        flaky("secret-argument")
    return flaky
