"""A gate asks once before the call and hears once how it ended."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from .. import _async, _blocking
from .._call import Call
from .._wiring import Wiring
from .base import AsyncHandler, Handler, Stage


class Gate(Stage):
    """A stage that admits a call, perhaps after a pause, and settles when it has ended."""

    waits: ClassVar[bool] = False
    """Whether it may make a call wait, by `call.pause`."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._clock = wiring.clock

    @abstractmethod
    def admit(self, call: Call, home: Callable[[], Any] | None) -> Any:
        """A permit; raise a `RejectedError` to refuse. What must wait before it goes on gets `call.pause`."""

    def passed(self, call: Call, permit: Any, result: Any) -> None:
        """The call returned *result*."""

    @abstractmethod
    def failed(self, call: Call, permit: Any, error: BaseException) -> None:
        """The call ended with *error*; cancellation is an ending too. *permit* is None if none was given."""

    def wrap(self, inner: Handler) -> Handler:
        """Ask, run, settle."""
        admit, passed, failed, waits = self.admit, self.passed, self.failed, self.waits
        clock, sleep, home = self._clock, _blocking.sleep, _blocking.home()

        def gated(call: Call) -> Any:
            permit: Any = None
            try:
                permit = admit(call, home)
                if waits and call.pause:
                    sleep(clock, call.pause, call)
                result = inner(call)
                passed(call, permit, result)
            except BaseException as error:
                failed(call, permit, error)
                raise
            return result

        return gated

    def wrap_async(self, inner: AsyncHandler) -> AsyncHandler:
        """Ask, run, settle."""
        admit, passed, failed, waits = self.admit, self.passed, self.failed, self.waits
        clock, sleep, home = self._clock, _async.sleep, _async.home()

        async def gated(call: Call) -> Any:
            permit: Any = None
            try:
                permit = admit(call, home)
                if waits and call.pause:
                    await sleep(clock, call.pause, call)
                result = await inner(call)
                passed(call, permit, result)
            except BaseException as error:
                failed(call, permit, error)
                raise
            return result

        return gated
