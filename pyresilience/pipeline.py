"""Stages in order, outermost first, composed once per decorated function, behind the front door."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, cast, overload

from ._call import Call
from ._functions import FunctionName, check, dress, is_async, label_of, name_of
from ._lifecycle import lifecycle
from ._report import Report
from ._typing import Front_co, P, R
from ._wiring import Wiring
from .cache.config import CacheConfig
from .cache.control import CacheControl
from .cache.door import Door
from .cache.info import CacheInfo
from .cache.result_cache import ResultCache
from .clock import Clock
from .events import ResilienceListener
from .stages.base import AsyncHandler, Handler, Stage, StageConfig

if TYPE_CHECKING:
    from ._handles import Cached, Resilient
    from .metrics.pipeline_metrics import PipelineMetrics

HANDLES = ("circuit_breaker",)
"""Attributes that every decorated function has, None where no stage of its pipeline shows itself there."""


class Pipeline(Generic[Front_co]):
    """A decorator: its stages are made once and shared by every function it decorates, a cache is each one's own.

    Args:
        configs: What makes the stages, outermost first.
        cache: The front door: a config (each function gets a cache of its own) or a cache that functions share.
        listeners: Plain callables that take every event.
        name: What the functions are called in events and errors, instead of their own names.
        clock: Where the time is read.
    """

    def __init__(
        self,
        *configs: StageConfig,
        cache: Front_co = None,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType] - it has that default
        listeners: Sequence[ResilienceListener] = (),
        name: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        for config in configs:
            if not callable(getattr(config, "build", None)):
                hint = "; a cache goes to cache=" if isinstance(config, (CacheConfig, ResultCache)) else ""
                raise TypeError(f"a stage is made from its config, got {config!r}{hint}")
        if cache is not None and not isinstance(cache, (CacheConfig, ResultCache)):
            raise TypeError(f"cache must be a CacheConfig or a ResultCache, got {cache!r}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be text, got {name!r}")
        self._wiring = Wiring(clock, listeners)
        if _is_measured(cache) and self.metrics is None:
            self._wiring.add(_pipeline_metrics(self._wiring.clock))
        self._cache = cache
        self._name = name
        self.stages: tuple[Stage, ...] = tuple(config.build(self._wiring) for config in configs)
        """The stages, outermost first."""

    @property
    def listener_errors(self) -> int:
        """How often a listener has raised."""
        return self._wiring.errors.total()

    def listener_errors_of(self, label: str) -> int:
        """How often a listener has raised on an event of the function of that label."""
        return self._wiring.errors[label]

    @property
    def metrics(self) -> PipelineMetrics | None:
        """The listener that counts its runs; None: there is none."""
        loaded: Any = sys.modules.get(f"{__package__}.metrics.pipeline_metrics")
        kind = () if loaded is None else loaded.PipelineMetrics
        found: list[Any] = [each for each in self._wiring.listeners if isinstance(each, kind)]
        return found[0] if found else None

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        function: staticmethod[P, R],  # pyright: ignore[reportOverlappingOverload] - one of these is callable too
        /,
    ) -> staticmethod[P, R]: ...
    @overload
    def __call__(self, function: classmethod[Any, P, R], /) -> classmethod[Any, P, R]: ...
    @overload
    def __call__(self: Pipeline[CacheConfig | ResultCache], function: Callable[P, R], /) -> Cached[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Resilient[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        """Decorate *function*.

        Raises:
            TypeError: It is not callable, or a generator function.
        """
        if isinstance(function, (staticmethod, classmethod)):
            return type(function)(self(function.__func__))
        check(function)
        wrapper, handles = self.entrance(function)
        dress(wrapper, function)
        vars(wrapper).update(handles, __wrapped__=function)
        self.enlist(wrapper)
        return wrapper

    def enlist(self, wrapper: Callable[..., Any]) -> None:
        """Let the whole process know of a decorated function that has metrics."""
        if self.metrics is not None:
            from .metrics.roster import roster

            roster.add(wrapper)

    def entrance(self, function: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The guarded *function*, and the handles that belong to it."""
        hand = "wrap_async" if is_async(function) else "wrap"
        name = FunctionName(self._name or name_of(function), label_of(function))
        handler = self._compose(function, hand)
        door = self._door(function, name)
        entrance = _bare_entrance(handler, name, hand) if door is None else getattr(door, hand)(handler)
        return entrance, self._handles(function, door)

    def _compose(self, function: Callable[..., Any], hand: str) -> Any:
        handler: Any = _innermost(function)
        stages = (Report(self._wiring), *self.stages) if self._wiring.heard else self.stages
        for stage in reversed(stages):
            handler = getattr(stage, hand)(handler)
        return handler

    def _door(self, function: Callable[..., Any], name: str) -> Door | None:
        if self._cache is None:
            return None
        shared = isinstance(self._cache, ResultCache)
        cache = self._cache if shared else ResultCache(cast("CacheConfig", self._cache), clock=self._wiring.clock)
        limit = _limit([stage.call_limit for stage in self.stages if stage.call_limit is not None])
        return Door(function, name, cast("ResultCache", cache), self._wiring, shared=shared, limit=limit)

    def _handles(self, function: Callable[..., Any], door: Door | None) -> dict[str, Any]:
        control = None if door is None else CacheControl(function, door)
        handles: dict[str, Any] = dict.fromkeys(HANDLES)
        handles.update((stage.handle, stage) for stage in self.stages if stage.handle is not None)
        return {
            **handles,
            "cache": control,
            "cache_info": (lambda: CacheInfo(0, 0, 0, 0)) if control is None else control.counts,
            "cache_clear": (lambda: None) if control is None else control.clear,
            "metrics": None if door is None else door.metrics,
            "pipeline": self,
        }


def _limit(limits: list[float | Callable[[Call], float]]) -> float | Callable[[Call], float] | None:
    """The strictest of the *limits* on a whole call."""
    if not any(map(callable, limits)):
        return min(cast("list[float]", limits), default=None)
    return lambda call: min(limit(call) if callable(limit) else limit for limit in limits)


def _is_measured(cache: CacheConfig | ResultCache | None) -> bool:
    if isinstance(cache, ResultCache):
        return cache.metrics is not None
    return cache is not None and cache.enable_metrics


def _pipeline_metrics(clock: Clock) -> PipelineMetrics:
    from .metrics.pipeline_metrics import PipelineMetrics

    return PipelineMetrics(clock=clock)


def _innermost(function: Callable[..., Any]) -> Any:
    """The handler that calls *function*; for an async one it returns what is to be awaited."""

    def reach(call: Call) -> Any:
        call.reached = True
        return function(*call.args, **call.kwargs)

    return reach


def _bare_entrance(handler: Any, name: str, hand: str) -> Callable[..., Any]:
    """The entrance of a function without a cache."""
    return _enter_async(handler, name) if hand == "wrap_async" else _enter(handler, name)


def _enter(handler: Handler, name: str) -> Callable[..., Any]:
    def entered(*args: Any, **kwargs: Any) -> Any:
        call = Call()
        call.name, call.args, call.kwargs = name, args, kwargs
        if lifecycle.closed:
            raise lifecycle.refusal(call)
        tally = lifecycle.tally
        tally.running += 1
        try:
            return handler(call)
        finally:
            tally.running -= 1

    return entered


def _enter_async(handler: AsyncHandler, name: str) -> Callable[..., Any]:
    async def entered(*args: Any, **kwargs: Any) -> Any:
        call = Call()
        call.name, call.args, call.kwargs = name, args, kwargs
        if lifecycle.closed:
            raise lifecycle.refusal(call)
        tally = lifecycle.tally
        tally.running += 1
        try:
            return await handler(call)
        finally:
            tally.running -= 1

    return entered
