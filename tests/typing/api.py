"""What type checkers make of the public API. mypy and pyright read this file; tests/test_typing.py runs them."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from pyresilience import (
    CacheConfig,
    CacheMetrics,
    CircuitBreaker,
    MetricsContext,
    MetricSnapshot,
    Pipeline,
    PipelineMetrics,
    ResilienceRegistry,
    ResultCache,
    RetryConfig,
    TimeoutConfig,
    http_policy,
    remaining,
    resilient,
)
from pyresilience.cache.views import CacheInfo


@resilient(retry=RetryConfig(delay="250ms"), cache=CacheConfig(ttl="5m"))
def area(width: int, *, height: int = 1) -> float:
    return float(width * height)


@resilient(timeout=TimeoutConfig(seconds=5))
async def fetch(url: str) -> bytes:
    return url.encode()


@resilient
def bare(x: int) -> int:
    return x


@resilient(**http_policy())
def preset(x: int) -> str:
    return str(x)


class Client:
    @resilient(cache=CacheConfig())
    def get(self, user_id: int) -> str:
        return str(user_id)

    @resilient(cache=CacheConfig())
    async def aget(self, user_id: int) -> str:
        return str(user_id)

    @staticmethod
    @resilient(retry=RetryConfig())
    def below(x: int) -> int:
        return x

    @resilient(retry=RetryConfig())
    @staticmethod
    def above(x: int) -> int:
        return x


assert_type(area(1, height=2), float)
assert_type(bare(1), int)
assert_type(preset(1), str)
assert_type(Client().get(1), str)
assert_type(Client.below(1), int)
assert_type(Client.above(1), int)
assert_type(remaining(), float | None)

assert_type(area.circuit_breaker, CircuitBreaker | None)
assert_type(area.pipeline, Pipeline)
assert_type(area.cache_info(), CacheInfo)
assert_type(area.__name__, str)
if area.cache is not None:
    assert_type(area.cache.invalidate(1, height=2), bool)
    assert_type(area.cache.stats, dict[str, Any])
client = Client()
if client.get.cache is not None:
    assert_type(client.get.cache.invalidate(client, 1), bool)
    client.get.cache.invalidate(1)  # type: ignore[call-arg, arg-type]

registry = ResilienceRegistry()
registry.register("users", http_policy())


@registry.decorator("users")
def user(user_id: int) -> str:
    return str(user_id)


assert_type(user(1), str)
assert_type(ResultCache(CacheConfig()).size, int)


async def main() -> None:
    assert_type(await fetch("/"), bytes)
    assert_type(await Client().aget(1), str)


# What must be refused. An unused ignore is an error, so each of these is checked.
area("1")  # type: ignore[arg-type]
area(1, 2)  # type: ignore[call-arg]
Client().get("1")  # type: ignore[arg-type]
user("1")  # type: ignore[arg-type]
resilient(retry=TimeoutConfig())  # type: ignore[call-overload]
if area.cache is not None:
    area.cache.invalidate("1")  # type: ignore[arg-type]


assert_type(area.metrics, CacheMetrics | None)
if area.metrics is not None:
    assert_type(area.metrics.get_stats("1m"), MetricSnapshot)
assert_type(area.pipeline.metrics, PipelineMetrics | None)
with MetricsContext(None) as recorded:
    assert_type(recorded, MetricsContext)
