"""What a decorated function carries beside itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Protocol, Self, overload

from typing_extensions import ParamSpec, TypeVar

from ._typing import P, R

if TYPE_CHECKING:
    from .cache.control import CacheControl, CacheInfo
    from .pipeline import Pipeline
    from .stages.circuit_breaker import CircuitBreaker

_Owner = TypeVar("_Owner")
_Rest = ParamSpec("_Rest")
_Result = TypeVar("_Result")


class Resilient(Protocol[P, R]):
    """A decorated function as a type checker sees it. At run time it is a plain function with these attributes."""

    __name__: str
    __qualname__: str
    __module__: str
    __doc__: str | None
    __wrapped__: Callable[P, R]
    cache: CacheControl[P] | None
    """The control surface of its cache; None without one."""
    circuit_breaker: CircuitBreaker | None
    """Its circuit breaker; None without one."""
    metrics: Any
    """Its cache metrics; None without them."""
    pipeline: Pipeline
    """The pipeline it was decorated with."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it."""
        ...

    def cache_info(self) -> CacheInfo:
        """The counts of its cache; all 0 without one."""
        ...

    def cache_clear(self) -> None:
        """Forget what its cache holds."""
        ...

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(
        self: Resilient[Concatenate[_Owner, _Rest], _Result], instance: _Owner, owner: type | None = None, /
    ) -> Resilient[_Rest, _Result]: ...
