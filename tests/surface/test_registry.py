"""Named pipelines."""

import gc
import json
import weakref

import pytest

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    CircuitOpenError,
    CircuitState,
    FallbackConfig,
    RateLimiterConfig,
    ResilienceConfig,
    ResilienceRegistry,
    RetryBudgetConfig,
    RetryConfig,
    TimeoutConfig,
    health_check,
    http_policy,
)

BREAKER = ResilienceConfig(circuit_breaker=CircuitBreakerConfig(failure_threshold=1))


@pytest.fixture
def registry():
    return ResilienceRegistry()


def broken():
    raise OSError


def test_what_is_registered_can_be_got(registry):
    """A config is kept under its name, a mapping as the config it describes."""
    registry.register("b", BREAKER)
    registry.register("a", {"retry": RetryConfig(max_attempts=7)})
    assert registry.names == ["a", "b"]
    assert registry.get("b") is BREAKER
    assert registry.get("a").retry.max_attempts == 7
    assert registry.get("c") is None


def test_presets_can_be_registered(registry):
    """What a preset returns is a config."""
    registry.register("api", http_policy())
    assert registry.get("api").retry is not None


@pytest.mark.parametrize("config", [3, None, "http", [], RetryConfig()])
def test_only_configs_are_registered(registry, config):
    """Anything else is refused, naming what it was for."""
    with pytest.raises(TypeError, match="api"):
        registry.register("api", config)
    assert registry.names == []


def test_a_name_is_text(registry):
    """Other names are refused."""
    with pytest.raises(TypeError, match="name"):
        registry.register(3, BREAKER)


def test_the_default_serves_unknown_names(registry):
    """A name that nobody registered gets the default, and shares it from then on."""
    with pytest.raises(KeyError, match="api"):
        registry.decorator("api")
    registry.set_default(BREAKER)
    assert registry.get_or_default("api") is BREAKER
    assert registry.get("api") is None
    f, g = registry.decorator("api")(broken), registry.decorator("api")(lambda: 1)
    with pytest.raises(OSError):
        f()
    with pytest.raises(CircuitOpenError):
        g()
    other = registry.decorator("other")(lambda: 1)
    assert other() == 1


def test_functions_under_one_name_share_their_stages(colour, registry):
    """The breaker of one is the breaker of the other, of whichever colour."""
    registry.register("api", BREAKER)
    f, g = registry.decorator("api")(colour.dye(broken)), registry.decorator("api")(lambda: 1)
    colour.outcome(f)
    with pytest.raises(CircuitOpenError):
        g()
    assert f.circuit_breaker is g.circuit_breaker


def test_limiter_bulkhead_and_budget_are_shared(registry):
    """One set of permits, slots and retries serves all functions of a name."""
    registry.register(
        "api",
        {
            "retry": RetryConfig(max_attempts=9, delay=0),
            "retry_budget": RetryBudgetConfig(max_retries=3, refill_rate=0),
            "rate_limiter": RateLimiterConfig(max_calls=100),
            "bulkhead": BulkheadConfig(),
        },
    )
    calls = []

    def body():
        calls.append(1)
        raise OSError

    f, g = registry.decorator("api")(body), registry.decorator("api")(lambda: body())
    for each in (f, g):
        with pytest.raises(OSError):
            each()
    assert len(calls) == 1 + 3 + 1
    assert f.pipeline is g.pipeline


def test_cached_results_are_never_shared(colour, registry):
    """Two functions under one name have caches of their own."""
    registry.register("api", {"cache": CacheConfig()})
    f, g = (registry.decorator("api")(colour.dye(body)) for body in (lambda x: "f", lambda x: "g"))
    assert [colour.call(f, 1), colour.call(g, 1), colour.call(f, 1), colour.call(g, 1)] == ["f", "g", "f", "g"]
    assert f.cache_info().hits == g.cache_info().hits == 1


def test_registering_again_applies_to_functions_decorated_before(colour, registry):
    """A new config is in force from the next call on, handles included."""
    calls = []

    def body():
        calls.append(1)
        raise OSError

    registry.register("api", {"retry": RetryConfig(max_attempts=2, delay=0)})
    f = registry.decorator("api")(colour.dye(body))
    colour.outcome(f)
    registry.register("api", {"retry": RetryConfig(max_attempts=5, delay=0), "circuit_breaker": CircuitBreakerConfig()})
    colour.outcome(f)
    assert len(calls) == 2 + 5
    assert f.circuit_breaker is not None


def test_registering_again_keeps_the_state_of_a_breaker_of_the_same_kind(registry):
    """An open circuit stays open under its new settings, and one that counts otherwise starts anew."""
    registry.register("api", BREAKER)
    f = registry.decorator("api")(broken)
    with pytest.raises(OSError):
        f()
    registry.register("api", {"circuit_breaker": CircuitBreakerConfig(failure_threshold=9)})
    assert f.circuit_breaker.state is CircuitState.OPEN
    registry.register("api", {"circuit_breaker": CircuitBreakerConfig(sliding_window_size=9)})
    assert f.circuit_breaker.state is CircuitState.CLOSED


def test_a_refused_registration_changes_nothing(registry):
    """If a function cannot live with the new config, the old one stays in force for all."""

    async def handler(error):
        return 1

    registry.register("api", {"retry": RetryConfig(max_attempts=7)})
    before = registry.get("api")
    f = registry.decorator("api")(lambda: 1)
    pipeline = f.pipeline
    with pytest.raises(TypeError, match="async"):
        registry.register("api", {"fallback": FallbackConfig(handler)})
    assert registry.get("api") is before
    assert f.pipeline is pipeline
    assert registry.decorator("api")(lambda: 2)() == 2


def test_unregistering_forgets_the_name_only(registry):
    """Functions decorated before keep what they have."""
    registry.register("api", BREAKER)
    f = registry.decorator("api")(lambda: 1)
    assert (registry.unregister("api"), registry.unregister("api")) == (True, False)
    assert (f(), registry.names) == (1, [])
    registry.set_default(BREAKER)
    registry.clear()
    assert registry.get_or_default("api") is None


def test_above_and_below_staticmethod_and_classmethod(registry):
    """The decorator of a registry stands wherever `@resilient` may stand."""
    registry.register("api", {"retry": RetryConfig()})
    guard = registry.decorator("api")

    class Order:
        @guard
        @staticmethod
        def static_above(x):
            return x

        @staticmethod
        @guard
        def static_below(x):
            return x

        @guard
        @classmethod
        def class_above(cls, x):
            return cls, x

        @classmethod
        @guard
        def class_below(cls, x):
            return cls, x

        @guard
        def method(self, x):
            return self, x

    one = Order()
    assert one.static_above(1) == one.static_below(1) == 1
    assert one.class_above(1) == one.class_below(1) == (Order, 1)
    assert one.method(1) == (one, 1)


def test_a_function_of_a_registry_can_die(registry):
    """A registry keeps no function alive."""
    registry.register("api", BREAKER)
    f = registry.decorator("api")(lambda: 1)
    ref = weakref.ref(f)
    del f
    gc.collect()
    assert ref() is None


def test_listeners_hear_every_pipeline(events):
    """A registry's listeners hear what happens under all its names."""
    registry = ResilienceRegistry(listeners=[events])
    for name in ("a", "b"):
        registry.register(name, {})
        registry.decorator(name)(lambda: 1)()
    assert len(events) == 2


def test_health_check_tells_every_name(registry):
    """Per name and stage, ready for JSON; the breaker as contracted."""
    registry.register(
        "payments",
        {
            "circuit_breaker": CircuitBreakerConfig(),
            "rate_limiter": RateLimiterConfig(max_calls=3, period=60),
            "bulkhead": BulkheadConfig(max_concurrent=4),
            "timeout": TimeoutConfig(15),
            "fallback": FallbackConfig(1),
        },
    )
    registry.register("search", BREAKER)
    with pytest.raises(OSError):
        registry.decorator("search")(broken)()
    registry.decorator("payments")(lambda: 1)()
    report = health_check(registry)
    assert report["payments"] == {
        "circuit_breaker": {"state": "closed", "failure_count": 0},
        "rate_limiter": {"available": 2},
        "bulkhead": {"in_use": 0, "max_concurrent": 4, "waiting": 0},
        "timeout": {"abandoned": 0, "pool_size": 256},
    }
    assert report["search"]["circuit_breaker"]["state"] == "open"
    assert json.loads(json.dumps(report)) == report


def test_health_check_of_nothing():
    """An empty registry is an empty report."""
    assert health_check(ResilienceRegistry()) == {}
