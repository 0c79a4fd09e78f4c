"""Named pipelines: functions that call the same dependency share its breaker, limiter, bulkhead and budget."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._forks import renew_in_child
from ._functions import check, dress, is_async
from ._typing import P, R
from .decorator import ResilienceConfig
from .events import ResilienceListener
from .pipeline import Pipeline

if TYPE_CHECKING:
    from ._handles import Resilient


class _Route:
    """Where the calls of one decorated function go now."""

    __slots__ = ("__weakref__", "enter", "function", "wrapper")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.enter: Callable[..., Any] = function
        self.wrapper = _routed_async(self) if is_async(function) else _routed(self)
        dress(self.wrapper, function)

    def lead_to(self, entrance: Callable[..., Any], handles: dict[str, Any]) -> None:
        """Send the calls there from now on."""
        self.enter = entrance
        vars(self.wrapper).update(handles, __wrapped__=self.function)
        handles["pipeline"].enlist(self.wrapper)


def _routed(route: _Route) -> Callable[..., Any]:
    def routed(*args: Any, **kwargs: Any) -> Any:
        return route.enter(*args, **kwargs)

    return routed


def _routed_async(route: _Route) -> Callable[..., Any]:
    async def routed(*args: Any, **kwargs: Any) -> Any:
        return await route.enter(*args, **kwargs)

    return routed


class _Named:
    """One name: its pipeline, and the functions that go through it."""

    def __init__(self, config: ResilienceConfig, pipeline: Pipeline) -> None:
        self.config = config
        self.pipeline = pipeline
        self.routes: weakref.WeakSet[_Route] = weakref.WeakSet()


class ResilienceRegistry:
    """Pipelines by name. Functions under one name share everything but their cached results.

    Args:
        listeners: Plain callables that take the events of every pipeline in the registry.
    """

    def __init__(self, *, listeners: Sequence[ResilienceListener] = ()) -> None:
        self._listeners = listeners
        self._default: ResilienceConfig | None = None
        self._named: dict[str, _Named] = {}
        self._lock = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child has a lock of its own."""
        self._lock = threading.RLock()

    def register(self, name: str, config: ResilienceConfig | Mapping[str, Any]) -> None:
        """Keep *config* (or what a preset returned) under *name*.

        Registering a name again applies to the functions decorated before as well; a circuit breaker goes on in
        the state it is in, if it still counts the same kind of thing.

        Raises:
            TypeError: It is not a config.
        """
        config = _checked(name, config)
        pipeline = config.pipeline(listeners=self._listeners)
        with self._lock:
            former = self._named.get(name)
            new = _Named(config, pipeline)
            if former is None:
                self._named[name] = new
                return
            ways = [(route, pipeline.entrance(route.function)) for route in former.routes]
            for stage in pipeline.stages:
                for old in former.pipeline.stages:
                    if type(old) is type(stage):
                        stage.adopt(old)
            new.routes = former.routes
            self._named[name] = new
            for route, way in ways:
                route.lead_to(*way)

    def get(self, name: str) -> ResilienceConfig | None:
        """What is kept under *name*; None: nothing."""
        named = self._named.get(name)
        return None if named is None else named.config

    def get_or_default(self, name: str) -> ResilienceConfig | None:
        """What is kept under *name*, or the default; None: there is neither."""
        return self.get(name) or self._default

    def set_default(self, config: ResilienceConfig | Mapping[str, Any]) -> None:
        """What names get that nobody has registered."""
        self._default = _checked("default", config)

    def decorator(self, name: str) -> Callable[[Callable[P, R]], Resilient[P, R]]:
        """A decorator that sends a function's calls through the pipeline of *name*.

        A name that is not registered yet gets the default now.

        Raises:
            KeyError: The name is not registered and there is no default.
        """
        with self._lock:
            if name not in self._named:
                if self._default is None:
                    known = ", ".join(map(repr, self.names)) or "nothing"
                    raise KeyError(f"no pipeline is registered under {name!r} and no default is set; known: {known}")
                self.register(name, self._default)

        def decorate(function: Any) -> Any:
            if isinstance(function, (staticmethod, classmethod)):
                return type(function)(decorate(function.__func__))
            check(function)
            route = _Route(function)
            with self._lock:
                named = self._named.get(name)
                if named is None:
                    raise KeyError(f"the pipeline {name!r} was unregistered before the function was decorated")
                route.lead_to(*named.pipeline.entrance(function))
                named.routes.add(route)
            return route.wrapper

        return decorate

    def unregister(self, name: str) -> bool:
        """Forget *name*; functions decorated with it keep what they have. False: it was not registered."""
        with self._lock:
            return self._named.pop(name, None) is not None

    def clear(self) -> None:
        """Forget every name, and the default."""
        with self._lock:
            self._named.clear()
            self._default = None

    @property
    def names(self) -> list[str]:
        """The registered names, sorted."""
        return sorted(self._named)

    def pipeline(self, name: str) -> Pipeline | None:
        """The pipeline of *name*; None: it is not registered."""
        named = self._named.get(name)
        return None if named is None else named.pipeline


def _checked(name: str, config: ResilienceConfig | Mapping[str, Any]) -> ResilienceConfig:
    if not isinstance(name, str):
        raise TypeError(f"a pipeline's name must be text, got {name!r}")
    if isinstance(config, ResilienceConfig):
        return config
    if not isinstance(config, Mapping):
        raise TypeError(f"{name!r} needs a ResilienceConfig or what a preset returns, got {config!r}")
    return ResilienceConfig(**config)
