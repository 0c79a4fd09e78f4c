"""The names that users may rely on."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pyresilience

CONTRACT = """
resilient Pipeline ResilienceConfig CacheConfig RetryConfig RetryBudgetConfig TimeoutConfig CircuitBreakerConfig
FallbackConfig BulkheadConfig RateLimiterConfig ResultCache CircuitBreaker RetryBudget CircuitState EventType
ResilienceEvent ResilienceListener ResilienceRegistry resilience_context remaining JsonEventLogger MetricsCollector
health_check http_policy db_policy queue_policy strict_policy llm_policy shutdown
ResilienceError RejectedError CircuitOpenError RateLimitExceededError BulkheadFullError ResilienceTimeoutError
CacheKeyError
CacheMetrics MetricSnapshot MetricsContext MetricsExporter PipelineMetrics
""".split()

EVENTS = """
CACHE_HIT CACHE_MISS RETRY RETRY_EXHAUSTED TIMEOUT CIRCUIT_OPEN CIRCUIT_HALF_OPEN CIRCUIT_CLOSED CIRCUIT_REJECTED
RATE_LIMITED BULKHEAD_REJECTED SLOW_CALL FALLBACK_USED SUCCESS FAILURE
""".split()


def test_the_public_names_are_the_contract():
    """`__all__` is the contract, no more and no less, and sorted."""
    assert sorted(CONTRACT) == pyresilience.__all__


def test_every_public_name_is_there_and_documented():
    """Every public name exists and says what it is."""
    for name in pyresilience.__all__:
        thing = getattr(pyresilience, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name


def test_the_event_types_are_the_contract():
    """Every contracted event exists, and its value is its name in lower case."""
    assert [member.name for member in pyresilience.EventType] == EVENTS
    assert all(member.value == member.name.lower() for member in pyresilience.EventType)


def test_the_parameters_of_resilient_stand_in_the_order_of_the_stages():
    """Reading the decorator's signature is reading the order of the stages."""
    names = list(inspect.signature(pyresilience.resilient).parameters)
    stages = ["cache", "fallback", "retry", "retry_budget", "circuit_breaker", "rate_limiter", "bulkhead", "timeout"]
    assert names == ["function", *stages, "listeners", "name", "clock"]


def test_every_public_method_is_documented():
    """Every public method and property of every public class says what it does."""
    for name in pyresilience.__all__:
        thing = getattr(pyresilience, name)
        if inspect.isclass(thing) and thing.__module__.startswith("pyresilience"):
            for attribute, value in vars(thing).items():
                if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    assert inspect.getdoc(value), f"{name}.{attribute}"


def test_importing_does_nothing_else():
    """Importing starts no thread, opens no socket, prints nothing and loads no event loop and no optional package."""
    code = (
        "import sys, threading; import pyresilience; assert threading.active_count() == 1; "
        "loaded = {'asyncio', 'trio', 'anyio', 'tenacity', 'socket', 'prometheus_client'} & set(sys.modules); "
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
