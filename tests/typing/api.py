"""What type checkers make of the public API. mypy and pyright read this file; tests/test_typing.py runs them."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import timedelta
from typing import Any, TypedDict

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
from pyresilience.cache.control import CacheControl
from pyresilience.cache.info import CacheInfo, CacheState
from pyresilience.cache.views import CacheEntry, Explanation


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
assert_type(area.cache.invalidate(1, height=2), bool)
assert_type(area.cache.stats, dict[str, Any])
client = Client()
assert_type(client.get.cache.invalidate(client, 1), bool)
client.get.cache.invalidate(1)  # type: ignore[call-arg, arg-type]


# Where nobody has said whether there is a cache, there may be none.
maybe: CacheConfig | None = CacheConfig() if area(1) else None


def body(x: int, /) -> int:
    return x


def decorate(pipeline: Pipeline) -> None:
    """With a pipeline that comes from elsewhere."""
    assert_type(pipeline(body).cache, CacheControl[[int], int] | None)


assert_type(resilient(cache=CacheConfig())(body).cache, CacheControl[[int], int])
assert_type(resilient(cache=ResultCache())(body).cache, CacheControl[[int], int])
assert_type(resilient(cache=maybe)(body).cache, CacheControl[[int], int] | None)
assert_type(resilient(retry=RetryConfig())(body).cache, CacheControl[[int], int] | None)
assert_type(resilient(body).cache, CacheControl[[int], int] | None)
assert_type(Pipeline(RetryConfig(), cache=ResultCache())(body).cache, CacheControl[[int], int])
assert_type(Pipeline(RetryConfig())(body).cache, CacheControl[[int], int] | None)
bare.cache.clear()  # type: ignore[union-attr]

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
area.cache.invalidate("1")  # type: ignore[arg-type]


assert_type(area.metrics, CacheMetrics | None)
if area.metrics is not None:
    assert_type(area.metrics.get_stats("1m"), MetricSnapshot)
assert_type(area.pipeline.metrics, PipelineMetrics | None)
with MetricsContext(None) as recorded:
    assert_type(recorded, MetricsContext)


# The control surface of a cache: called with the function's own arguments, it speaks of what the function returns.


class Kept(TypedDict):
    id: int


@resilient(cache=CacheConfig(ttl=lambda token: token["id"], tags=("{user_id}",), copy="deep"))
def profile(user_id: int, *, locale: str = "en") -> Kept:
    return {"id": user_id}


@resilient(cache=CacheConfig(ttl="5m", stale_while_revalidate=timedelta(minutes=1), cache_exceptions=KeyError))
async def aprofile(user_id: int, *, locale: str = "en") -> Kept:
    return {"id": user_id}


cached = profile.cache
assert_type(cached.get(1, locale="de"), Kept | None)
assert_type(cached.peek(1), Kept | None)
assert_type(cached.contains(1), bool)
assert_type(cached.put({"id": 1}, 1, locale="de"), bool)
assert_type(cached.put({"id": 1}, 1, ttl="5m"), bool)
assert_type(cached.refresh(1), Kept)
assert_type(cached.invalidate(1), bool)
assert_type(cached.key(1), Hashable)
assert_type(cached.entry(1), CacheEntry | None)
assert_type(cached.explain(1, locale="de"), Explanation)
assert_type(cached.info(), CacheState)
assert_type(cached.info().weight, float)
assert_type(cached.info().hits, int)
assert_type(cached.ttl, float | None)
assert_type(cached.close("5s"), bool)
cached.invalidate_tag("1", soft=True)
cached.clear()
with cached.bypass(), cached.disabled():
    pass
hits, misses, maxsize, currsize = cached.info()
assert_type(hits, int)

acached = aprofile.cache
assert_type(acached.get(1, locale="de"), Kept | None)
assert_type(acached.peek(1), Kept | None)
assert_type(acached.put({"id": 1}, 1, locale="de"), bool)
assert_type(acached.put({"id": 1}, 1, ttl=5), bool)
assert_type(acached.entry(1), CacheEntry | None)
assert_type(acached.explain(1), Explanation)


async def refresh() -> None:
    assert_type(await acached.refresh(1), Kept)
    assert_type(await acached.aclose(), bool)
    assert_type(await acontrol.refresh(client, 1), str)


control = client.get.cache
acontrol = client.aget.cache
assert_type(control.get(client, 1), str | None)
assert_type(control.peek(client, 1), str | None)
assert_type(control.put("1", client, 1), bool)
assert_type(control.refresh(client, 1), str)
assert_type(control.entry(client, 1), CacheEntry | None)
assert_type(control.explain(client, 1), Explanation)
assert_type(acontrol.get(client, 1), str | None)
assert_type(acontrol.peek(client, 1), str | None)
assert_type(acontrol.put("1", client, 1), bool)

# What must be refused.
cached.get("1")  # type: ignore[arg-type]
cached.peek()  # type: ignore[call-arg]
cached.put({"id": "1"}, 1)  # type: ignore[call-overload]
cached.put({"id": 1}, "1")  # type: ignore[call-overload]
cached.put({"id": "1"}, 1, ttl=5)  # type: ignore[call-overload]
acached.put({"id": "1"}, 1, ttl=5)  # type: ignore[call-overload]
cached.refresh(1, "de")  # type: ignore[call-arg]
cached.entry("1")  # type: ignore[arg-type]
cached.explain()  # type: ignore[call-arg]
acached.put({"id": "1"}, 1)  # type: ignore[call-overload]
control.get(1)  # type: ignore[call-arg, arg-type]
CacheConfig(on_unhashable="bypas")  # type: ignore[arg-type]
CacheConfig(policy="fifo")  # type: ignore[arg-type]
CacheConfig(on_wait_timeout="wait")  # type: ignore[arg-type]
CacheConfig(copy="flat")  # type: ignore[arg-type]
CacheConfig(vary=("tenant",))  # type: ignore[arg-type]
assert_type(ResultCache(CacheConfig(tags=())).put("key", 1, "5m", tags=["a"]), bool)
assert_type(ResultCache().info(), CacheState)
