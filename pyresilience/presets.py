"""Ready-made settings for usual dependencies. Each returns what `@resilient(**http_policy())` takes; change a copy."""

from __future__ import annotations

from typing import Any

from .errors import ResilienceTimeoutError
from .stages.bulkhead import BulkheadConfig
from .stages.circuit_breaker import CircuitBreakerConfig
from .stages.rate_limiter import RateLimiterConfig
from .stages.retry import RetryConfig
from .stages.retry_budget import RetryBudgetConfig
from .stages.timeout import TimeoutConfig

TRANSIENT = (ConnectionError, TimeoutError, ResilienceTimeoutError)
"""Errors of the network, which may be gone the next moment."""


def http_policy() -> dict[str, Any]:
    """An HTTP API: 10 s an attempt, three attempts half a second apart and more, a breaker, a retry budget."""
    return {
        "retry": RetryConfig(max_attempts=3, delay=0.5, max_delay=30.0),
        "retry_budget": RetryBudgetConfig(),
        "circuit_breaker": CircuitBreakerConfig(failure_threshold=5, recovery_timeout=30.0),
        "timeout": TimeoutConfig(seconds=10.0),
    }


def db_policy() -> dict[str, Any]:
    """A database: few connections at once, one more attempt after an error of the network, a sensitive breaker."""
    return {
        "retry": RetryConfig(max_attempts=2, delay=0.1, max_delay=2.0, retry_on=TRANSIENT),
        "circuit_breaker": CircuitBreakerConfig(failure_threshold=3, recovery_timeout=60.0),
        "bulkhead": BulkheadConfig(max_concurrent=10, max_wait=5.0),
        "timeout": TimeoutConfig(seconds=30.0),
    }


def queue_policy() -> dict[str, Any]:
    """A message queue: patient, as the message is not lost meanwhile."""
    return {
        "retry": RetryConfig(max_attempts=5, delay=2.0, max_delay=60.0),
        "circuit_breaker": CircuitBreakerConfig(failure_threshold=10, recovery_timeout=60.0, success_threshold=3),
        "timeout": TimeoutConfig(seconds=15.0),
    }


def strict_policy() -> dict[str, Any]:
    """A caller who would rather have an error now: one attempt, 5 s for everything, a breaker that opens early."""
    return {
        "circuit_breaker": CircuitBreakerConfig(failure_threshold=3, recovery_timeout=60.0, success_threshold=1),
        "timeout": TimeoutConfig(seconds=5.0, per_attempt=False),
    }


def llm_policy() -> dict[str, Any]:
    """A model API: slow answers, 60 calls a minute with some patience, long pauses between attempts."""
    return {
        "retry": RetryConfig(max_attempts=4, delay=1.0, max_delay=60.0),
        "retry_budget": RetryBudgetConfig(max_retries=20, refill_rate=1.0),
        "circuit_breaker": CircuitBreakerConfig(failure_threshold=5, recovery_timeout=30.0),
        "rate_limiter": RateLimiterConfig(max_calls=60, period=60.0, max_wait=10.0),
        "timeout": TimeoutConfig(seconds=60.0),
    }
