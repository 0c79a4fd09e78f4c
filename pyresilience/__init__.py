"""A result cache and a resilience pipeline around any callable, sync or async."""

from typing import TYPE_CHECKING, Any

from ._lifecycle import shutdown
from .cache.config import CacheConfig
from .cache.result_cache import ResultCache
from .context import remaining, resilience_context
from .decorator import ResilienceConfig, resilient
from .errors import (
    BulkheadFullError,
    CacheKeyError,
    CircuitOpenError,
    RateLimitExceededError,
    RejectedError,
    ResilienceError,
    ResilienceTimeoutError,
)
from .events import EventType, ResilienceEvent, ResilienceListener
from .health import health_check
from .listeners.collector import MetricsCollector
from .listeners.json_logger import JsonEventLogger
from .pipeline import Pipeline
from .policies.circuit import CircuitState
from .presets import db_policy, http_policy, llm_policy, queue_policy, strict_policy
from .registry import ResilienceRegistry
from .stages.bulkhead import BulkheadConfig
from .stages.circuit_breaker import CircuitBreaker, CircuitBreakerConfig
from .stages.fallback import FallbackConfig
from .stages.rate_limiter import RateLimiterConfig
from .stages.retry import RetryConfig
from .stages.retry_budget import RetryBudget, RetryBudgetConfig
from .stages.timeout import TimeoutConfig

if TYPE_CHECKING:
    from .metrics import CacheMetrics, MetricsContext, MetricsExporter, MetricSnapshot, PipelineMetrics

__all__ = [
    "BulkheadConfig",
    "BulkheadFullError",
    "CacheConfig",
    "CacheKeyError",
    "CacheMetrics",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitOpenError",
    "CircuitState",
    "EventType",
    "FallbackConfig",
    "JsonEventLogger",
    "MetricSnapshot",
    "MetricsCollector",
    "MetricsContext",
    "MetricsExporter",
    "Pipeline",
    "PipelineMetrics",
    "RateLimitExceededError",
    "RateLimiterConfig",
    "RejectedError",
    "ResilienceConfig",
    "ResilienceError",
    "ResilienceEvent",
    "ResilienceListener",
    "ResilienceRegistry",
    "ResilienceTimeoutError",
    "ResultCache",
    "RetryBudget",
    "RetryBudgetConfig",
    "RetryConfig",
    "TimeoutConfig",
    "db_policy",
    "health_check",
    "http_policy",
    "llm_policy",
    "queue_policy",
    "remaining",
    "resilience_context",
    "resilient",
    "shutdown",
    "strict_policy",
]


def __getattr__(name: str) -> Any:
    """The metrics, loaded when they are asked for: who does not measure pays nothing for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import metrics

    return getattr(metrics, name)
