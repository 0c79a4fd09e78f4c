"""The one idea: a stage turns a handler into a handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol, TypeAlias

from .._call import Call
from .._wiring import Wiring

Handler: TypeAlias = Callable[[Call], Any]
AsyncHandler: TypeAlias = Callable[[Call], Awaitable[Any]]


class Stage:
    """Shared state and two hands, which differ in `await` alone. Subclass it to write a stage of your own."""

    handle: ClassVar[str | None] = None
    """The attribute under which decorated functions show this stage, if any."""

    call_limit: float | Callable[[Call], float] | None = None
    """Seconds that this stage allows the whole call, waiting for another caller's flight included; or what tells so."""

    def wrap(self, inner: Handler, /) -> Handler:
        """Guard *inner* for synchronous calls."""
        raise NotImplementedError

    def wrap_async(self, inner: AsyncHandler, /) -> AsyncHandler:
        """Guard *inner* for asynchronous calls."""
        raise NotImplementedError

    def adopt(self, former: Stage, /) -> None:
        """Take over the state of the stage of the same class that this one replaces."""

    def health(self) -> dict[str, Any]:
        """What an operator wants to know, ready for JSON."""
        return {}


class StageConfig(Protocol):
    """Settings that make their stage."""

    def build(self, wiring: Wiring, /) -> Stage:
        """Make the stage, once per pipeline."""
        ...
