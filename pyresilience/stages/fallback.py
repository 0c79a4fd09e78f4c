"""A stand-in instead of an error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from .._call import Call
from .._functions import is_async
from .._settings import require_errors
from .._typing import ErrorClasses, ErrorPredicate
from .._wiring import Wiring
from ..events import FallbackUsed
from ..policies.handling import Handling
from .base import AsyncHandler, Handler, Stage


@dataclass(frozen=True, slots=True)
class FallbackConfig:
    """What to answer when the call fails.

    Args:
        handler: The answer, or a function that makes it from the exception; on async functions it may be async.
            None: no fallback.
        fallback_on: Exception classes to stand in for, or a function that says so of an exception.
    """

    handler: Any = None
    fallback_on: ErrorClasses | ErrorPredicate = (Exception,)

    def __post_init__(self) -> None:
        require_errors(self, "fallback_on", predicate=True)

    def build(self, wiring: Wiring) -> Fallback:
        """Make the stage."""
        return Fallback(self, wiring)


class Fallback(Stage):
    """Answers in place of an error it minds."""

    def __init__(self, config: FallbackConfig, wiring: Wiring) -> None:
        self._wiring = wiring
        self._handler = config.handler
        self._handling = Handling(cast("Any", config.fallback_on))

    def wrap(self, inner: Handler) -> Handler:
        """Run, and answer for what fails."""
        if self._handler is None:
            return inner
        minds, stand_in, used = self._minds, self._maker(), self._used

        def guarded(call: Call) -> Any:
            try:
                return inner(call)
            except Exception as error:
                if not minds(call, error):
                    raise
                answer = stand_in(error)
                return used(call, error, answer)

        return guarded

    def wrap_async(self, inner: AsyncHandler) -> AsyncHandler:
        """Run, and answer for what fails."""
        if self._handler is None:
            return inner
        minds, stand_in, used = self._minds, self._maker_async(), self._used

        async def guarded(call: Call) -> Any:
            try:
                return await inner(call)
            except Exception as error:
                if not minds(call, error):
                    raise
                answer = await stand_in(error)
                return used(call, error, answer)

        return guarded

    def _minds(self, call: Call, error: Exception) -> bool:
        return id(error) != call.ignored and self._handling.minds(error)

    def _maker(self) -> Callable[[Exception], Any]:
        """What makes the answer of a synchronous call."""
        if callable(self._handler) and is_async(self._handler):
            raise TypeError(f"FallbackConfig: an async handler needs an async function, got {self._handler!r}")
        return self._handler if callable(self._handler) else lambda error: self._handler

    def _maker_async(self) -> Callable[[Exception], Awaitable[Any]]:
        """What makes the answer of an asynchronous call."""
        handler = self._handler

        async def make(error: Exception) -> Any:
            answer = handler(error) if callable(handler) else handler
            return await answer if callable(handler) and isinstance(answer, Awaitable) else answer

        return make

    def _used(self, call: Call, error: Exception, answer: Any) -> Any:
        """Say that *answer* is not the function's own."""
        call.storable = False
        call.stood_in = True
        call.failure = type(error)
        self._wiring.tell(FallbackUsed, call, error=error)
        return answer
