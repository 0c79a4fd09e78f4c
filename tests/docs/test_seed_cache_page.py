"""The page on the cache that the product was ordered from: each of its examples runs as it stands there.

The services that its examples call are stood in for by fakes; what the page says of an example is asserted after it.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace

import pytest

from pyresilience import (
    CacheConfig,
    CircuitBreakerConfig,
    EventType,
    ResultCache,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from pyresilience.testing import FakeClock


class Answer:
    """What an HTTP client returns: JSON, at once or to be awaited."""

    def __init__(self, url, asynchronous=False):
        self.url = url
        self.asynchronous = asynchronous

    def json(self):
        if not self.asynchronous:
            return {"url": self.url}

        async def read():
            await asyncio.sleep(0)
            return {"url": self.url}

        return read()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        return None


class Session:
    """An aiohttp session, whose answers come from nowhere."""

    def __init__(self, asked):
        self._asked = asked

    def get(self, url):
        self._asked.append(url)
        return Answer(url, asynchronous=True)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        return None


@pytest.fixture
def asked():
    """What the services were asked, in order."""
    return []


@pytest.fixture
def requests(asked):
    def get(url):
        asked.append(url)
        return Answer(url)

    return SimpleNamespace(get=get)


@pytest.fixture
def aiohttp(asked):
    return SimpleNamespace(ClientSession=lambda: Session(asked))


@pytest.fixture
def service(asked):
    """Stands in for `api`, `config_service` and `market_api`."""

    def ask(*args):
        asked.append(args)
        return args

    return SimpleNamespace(search=ask, get=ask, get_price=ask)


def test_the_configuration():
    """Both settings by name; the defaults are those of the table."""
    config = CacheConfig(
        max_size=256,  # Maximum number of cached entries
        ttl=300.0,  # Time-to-live: 5 minutes
    )
    assert config == CacheConfig()


def test_basic_caching(requests, asked):
    """The second call with one argument does not reach the API; another argument does."""

    @resilient(cache=CacheConfig(max_size=100, ttl=60.0))
    def get_user(user_id: int) -> dict:
        return requests.get(f"https://api.example.com/users/{user_id}").json()

    get_user(42)  # Calls API
    get_user(42)  # Returns cached result (API not called)
    get_user(99)  # Different args, calls API
    assert asked == ["https://api.example.com/users/42", "https://api.example.com/users/99"]


def test_cache_key_generation(service, asked):
    """A keyword argument is a part of the key."""
    api = service

    @resilient(cache=CacheConfig())
    def search(query: str, page: int = 1) -> list:
        return api.search(query, page)

    search("python", page=1)  # Cached separately from:
    search("python", page=2)  # Different key due to different args
    assert asked == [("python", 1), ("python", 2)]
    search("python")  # its default is page 1
    assert len(asked) == 2


def test_no_expiration(service, asked):
    """With a ttl of 0 an entry is there after any time."""
    config_service, clock = service, FakeClock()

    @resilient(cache=CacheConfig(max_size=1000, ttl=0), clock=clock)
    def get_config(key: str) -> str:
        return config_service.get(key)

    get_config("colour")
    clock.advance("3650d")
    get_config("colour")
    assert asked == [("colour",)]


def test_a_short_time_to_live(service, asked):
    """After five seconds, and not before, the price is asked for again."""
    market_api, clock = service, FakeClock()

    @resilient(cache=CacheConfig(max_size=50, ttl=5.0), clock=clock)
    def get_stock_price(symbol: str) -> float:
        return market_api.get_price(symbol)

    get_stock_price("XYZ")
    clock.advance(4.9)
    get_stock_price("XYZ")
    assert len(asked) == 1
    clock.advance(0.1)
    get_stock_price("XYZ")
    assert len(asked) == 2


def test_cache_retry_and_circuit_breaker(requests, asked):
    """A hit reaches neither of the stages; without one they protect the call."""

    @resilient(
        cache=CacheConfig(max_size=256, ttl=300.0),
        retry=RetryConfig(max_attempts=3),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=5),
        timeout=TimeoutConfig(seconds=10),
    )
    def get_product(product_id: int) -> dict:
        return requests.get(f"https://api.example.com/products/{product_id}").json()

    assert get_product(7) == {"url": "https://api.example.com/products/7"}
    get_product.circuit_breaker.force_open()
    assert get_product(7) == {"url": "https://api.example.com/products/7"}
    assert len(asked) == 1


def test_async_caching(aiohttp, asked):
    """An async function is cached by the same decorator."""

    @resilient(cache=CacheConfig(max_size=100, ttl=60.0))
    async def async_get_user(user_id: int) -> dict:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"https://api.example.com/users/{user_id}") as resp:
                return await resp.json()

    async def twice():
        return [await async_get_user(42), await async_get_user(42)]

    assert asyncio.run(twice()) == [{"url": "https://api.example.com/users/42"}] * 2
    assert asked == ["https://api.example.com/users/42"]


def test_stampede_prevention_needs_no_configuration(aiohttp, asked):
    """Coroutines that miss one key at once are one request."""

    @resilient(cache=CacheConfig())
    async def async_get_user(user_id: int) -> dict:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"https://api.example.com/users/{user_id}") as resp:
                return await resp.json()

    async def together():
        return await asyncio.gather(*(async_get_user(1) for _ in range(100)))

    assert len(asyncio.run(together())) == 100
    assert len(asked) == 1


def test_events(capsys):
    """A listener tells hits from misses."""

    def on_event(event):
        if event.event_type == EventType.CACHE_HIT:
            print(f"Cache hit for {event.function_name}")
        elif event.event_type == EventType.CACHE_MISS:
            print(f"Cache miss for {event.function_name}")

    @resilient(cache=CacheConfig(), listeners=[on_event])
    def get_user(user_id):
        return user_id

    get_user(1)
    get_user(1)
    assert capsys.readouterr().out == "Cache miss for get_user\nCache hit for get_user\n"


def test_direct_usage(capsys):
    """The cache without a function: store, retrieve, invalidate, count, clear."""
    cache = ResultCache(CacheConfig(max_size=100, ttl=60.0))

    # Store and retrieve
    key = ResultCache.make_key("user", 42)
    cache.put(key, {"name": "Alice"})
    result = cache.get(key)  # {"name": "Alice"}
    assert result == {"name": "Alice"}

    # Invalidate
    cache.invalidate(key)

    # Statistics
    print(cache.stats)
    printed = "{'hits': 1, 'misses': 0, 'hit_rate': 1.0, 'size': 0, 'max_size': 100}\n"
    assert capsys.readouterr().out == printed

    # Clear all
    cache.clear()
    assert len(cache) == 0


def test_stampede_prevention_in_threads(requests, asked):
    """Threads that miss one key at once are one request as well."""
    together = Barrier(8)

    @resilient(cache=CacheConfig())
    def get_user(user_id: int) -> dict:
        return requests.get(f"https://api.example.com/users/{user_id}").json()

    def one(_):
        together.wait()
        return get_user(5)

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(one, range(8)))) == 8
    assert len(asked) == 1
