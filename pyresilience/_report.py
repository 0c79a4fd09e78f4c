"""How each run of a pipeline ended, for those who listen."""

from __future__ import annotations

from typing import Any

from ._call import Call
from ._wiring import Wiring
from .events import Failed, Succeeded
from .stages.base import AsyncHandler, Handler, Stage


class Report(Stage):
    """Tells SUCCESS or FAILURE, with the last attempt and the time it all took. A cancelled run is neither."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def wrap(self, inner: Handler) -> Handler:
        """Time *inner*, and tell."""
        now, tell = self._wiring.clock.monotonic, self._wiring.tell

        def reported(call: Call) -> Any:
            began = now()
            try:
                result = inner(call)
            except Exception as error:
                tell(Failed, call, error=error, duration=now() - began)
                raise
            tell(Succeeded, call, duration=now() - began, stood_in=call.stood_in)
            return result

        return reported

    def wrap_async(self, inner: AsyncHandler) -> AsyncHandler:
        """Time *inner*, and tell."""
        now, tell = self._wiring.clock.monotonic, self._wiring.tell

        async def reported(call: Call) -> Any:
            began = now()
            try:
                result = await inner(call)
            except Exception as error:
                tell(Failed, call, error=error, duration=now() - began)
                raise
            tell(Succeeded, call, duration=now() - began, stood_in=call.stood_in)
            return result

        return reported
