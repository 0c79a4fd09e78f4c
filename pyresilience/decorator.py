"""`resilient()`: its parameters stand in the order of the stages, outermost first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from ._typing import Front, P, R
from .cache.config import CacheConfig
from .cache.result_cache import ResultCache
from .clock import Clock
from .events import ResilienceListener
from .pipeline import Pipeline
from .stages.base import StageConfig
from .stages.bulkhead import BulkheadConfig
from .stages.circuit_breaker import CircuitBreakerConfig
from .stages.fallback import FallbackConfig
from .stages.rate_limiter import RateLimiterConfig
from .stages.retry import Budgeted, RetryConfig
from .stages.retry_budget import RetryBudget, RetryBudgetConfig
from .stages.timeout import TimeoutConfig

if TYPE_CHECKING:
    from ._handles import Resilient

_KINDS: dict[str, tuple[type, ...]] = {
    "cache": (CacheConfig, ResultCache),
    "fallback": (FallbackConfig,),
    "retry": (RetryConfig,),
    "retry_budget": (RetryBudgetConfig, RetryBudget),
    "circuit_breaker": (CircuitBreakerConfig,),
    "rate_limiter": (RateLimiterConfig,),
    "bulkhead": (BulkheadConfig,),
    "timeout": (TimeoutConfig,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResilienceConfig:
    """All settings of a pipeline as one value; the fields are those of `resilient()`, in the order of the stages.

    Raises:
        TypeError: A config is of the wrong type.
        ValueError: `retry_budget` stands without `retry`.
    """

    cache: CacheConfig | ResultCache | None = None
    fallback: FallbackConfig | None = None
    retry: RetryConfig | None = None
    retry_budget: RetryBudgetConfig | RetryBudget | None = None
    circuit_breaker: CircuitBreakerConfig | None = None
    rate_limiter: RateLimiterConfig | None = None
    bulkhead: BulkheadConfig | None = None
    timeout: TimeoutConfig | None = None

    def __post_init__(self) -> None:
        for name, kinds in _KINDS.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kinds):
                wanted = " or a ".join(kind.__name__ for kind in kinds)
                raise TypeError(f"{name} must be a {wanted}, got {value!r}")
        if self.retry_budget is not None and self.retry is None:
            raise ValueError("retry_budget needs retry: give retry=RetryConfig(...) as well")

    def stages(self) -> list[StageConfig]:
        """What makes the stages, outermost first. A timeout of the whole call stands outside retry."""
        whole = self.timeout is not None and not self.timeout.per_attempt
        paid = None if self.retry is None or self.retry_budget is None else Budgeted(self.retry, self.retry_budget)
        ordered = (
            self.fallback,
            self.timeout if whole else None,
            paid or self.retry,
            self.circuit_breaker,
            self.rate_limiter,
            self.bulkhead,
            None if whole else self.timeout,
        )
        return [config for config in ordered if config is not None]

    def pipeline(
        self, *, listeners: Sequence[ResilienceListener] = (), name: str | None = None, clock: Clock | None = None
    ) -> Pipeline:
        """Make the stages."""
        return Pipeline(*self.stages(), cache=self.cache, listeners=listeners, name=name, clock=clock)


@overload
def resilient(function: Callable[P, R], /) -> Resilient[P, R]: ...
@overload
def resilient(
    *,
    cache: Front = ...,  # pyright: ignore[reportInvalidTypeVarUse] - it has a default
    fallback: FallbackConfig | None = None,
    retry: RetryConfig | None = None,
    retry_budget: RetryBudgetConfig | RetryBudget | None = None,
    circuit_breaker: CircuitBreakerConfig | None = None,
    rate_limiter: RateLimiterConfig | None = None,
    bulkhead: BulkheadConfig | None = None,
    timeout: TimeoutConfig | None = None,
    listeners: Sequence[ResilienceListener] = (),
    name: str | None = None,
    clock: Clock | None = None,
) -> Pipeline[Front]: ...
def resilient(
    function: Callable[..., Any] | None = None,
    /,
    *,
    cache: CacheConfig | ResultCache | None = None,
    fallback: FallbackConfig | None = None,
    retry: RetryConfig | None = None,
    retry_budget: RetryBudgetConfig | RetryBudget | None = None,
    circuit_breaker: CircuitBreakerConfig | None = None,
    rate_limiter: RateLimiterConfig | None = None,
    bulkhead: BulkheadConfig | None = None,
    timeout: TimeoutConfig | None = None,
    listeners: Sequence[ResilienceListener] = (),
    name: str | None = None,
    clock: Clock | None = None,
) -> Any:
    """Put a cache and a resilience pipeline around a function, sync or async.

    A call looks into the cache; on a miss it passes through the stages in the order of these parameters.

    Args:
        function: What to decorate, where no argument is needed: a bare `@resilient` adds no stage.
        cache: Keep results. A `ResultCache` may be shared by several functions.
        fallback: Answer something else when the call fails.
        retry: Try again.
        retry_budget: Try again only so often, over all calls; needs `retry`.
        circuit_breaker: Stop calling what keeps failing.
        rate_limiter: Begin only so many calls per period.
        bulkhead: Run only so many calls at once.
        timeout: Bound each attempt, or with `per_attempt=False` the whole call; then it stands outside retry.
        listeners: Plain callables that take every event.
        name: What the function is called in events and errors, instead of its own name.
        clock: Where the time is read.

    Raises:
        TypeError: A config is of the wrong type, a listener is async, or the function is a generator function.
        ValueError: `retry_budget` stands without `retry`.
    """
    config = ResilienceConfig(
        cache=cache,
        fallback=fallback,
        retry=retry,
        retry_budget=retry_budget,
        circuit_breaker=circuit_breaker,
        rate_limiter=rate_limiter,
        bulkhead=bulkhead,
        timeout=timeout,
    )
    pipeline = config.pipeline(listeners=listeners, name=name, clock=clock)
    return pipeline if function is None else pipeline(function)
