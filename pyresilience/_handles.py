"""What a decorated function carries beside itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, Self, TypeVar, overload

from ._typing import P, R

if TYPE_CHECKING:
    from .cache.control import CacheControl
    from .cache.info import CacheInfo
    from .metrics.cache_metrics import CacheMetrics
    from .pipeline import Pipeline
    from .stages.circuit_breaker import CircuitBreaker

_Owner = TypeVar("_Owner")
_Owner_co = TypeVar("_Owner_co", covariant=True)
_Rest = ParamSpec("_Rest")
_Result = TypeVar("_Result")
_Result_co = TypeVar("_Result_co", covariant=True)


class _Handles(Protocol):
    """What every decorated function carries, bound to an object or not."""

    __name__: str
    __qualname__: str
    __module__: str
    __doc__: str | None
    circuit_breaker: CircuitBreaker | None
    """Its circuit breaker; None without one."""
    metrics: CacheMetrics | None
    """The metrics of its cache; None without `enable_metrics`."""
    pipeline: Pipeline
    """The pipeline it was decorated with."""

    def cache_info(self) -> CacheInfo:
        """The counts of its cache; all 0 without one."""
        ...

    def cache_clear(self) -> None:
        """Forget what its cache holds."""
        ...


class Resilient(_Handles, Protocol[P, R]):
    """A decorated function as a type checker sees it. At run time it is a plain function with these attributes."""

    __wrapped__: Callable[P, R]

    @property
    def cache(self) -> CacheControl[P, R] | None:
        """The control surface of its cache, called with the function's own arguments; None without one."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it."""
        ...

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(
        self: Resilient[Concatenate[_Owner, _Rest], _Result], instance: _Owner, owner: type | None = None, /
    ) -> BoundResilient[_Owner, _Rest, _Result]: ...


class Cached(Resilient[P, R], Protocol[P, R]):
    """A decorated function that certainly has a cache."""

    @property
    def cache(self) -> CacheControl[P, R]:
        """The control surface of its cache, called with the function's own arguments."""
        ...

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(
        self: Cached[Concatenate[_Owner, _Rest], _Result], instance: _Owner, owner: type | None = None, /
    ) -> BoundCached[_Owner, _Rest, _Result]: ...


class BoundResilient(_Handles, Protocol[_Owner_co, P, _Result_co]):  # pyright: ignore[reportInvalidTypeVarUse] - mypy
    """A decorated method, bound to an object. Its handles are the function's, so the object is an argument there."""

    @property
    def cache(self) -> CacheControl[Concatenate[_Owner_co, P], _Result_co] | None:
        """The control surface of the function's cache: `client.get.cache.invalidate(client, 1)`."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> _Result_co:
        """Call it."""
        ...


class BoundCached(  # pyright: ignore[reportInvalidTypeVarUse] - mypy
    BoundResilient[_Owner_co, P, _Result_co], Protocol[_Owner_co, P, _Result_co]
):
    """A decorated method that certainly has a cache, bound to an object."""

    @property
    def cache(self) -> CacheControl[Concatenate[_Owner_co, P], _Result_co]:
        """The control surface of the function's cache: `client.get.cache.invalidate(client, 1)`."""
        ...
