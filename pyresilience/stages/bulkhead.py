"""Only so many calls at once, so that one slow dependency does not take every thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import _async, _blocking
from .._call import Call
from .._forks import renew_in_child
from .._outcome import Expired
from .._settings import require, seconds
from .._typing import Duration
from .._wiring import Wiring
from ..errors import BulkheadFullError
from ..events import BulkheadRejected
from ..policies.slots import Slot, Slots
from .base import AsyncHandler, Handler, Stage


@dataclass(frozen=True, slots=True)
class BulkheadConfig:
    """How many calls may be inside at once.

    Args:
        max_concurrent: Calls that run at the same time, sync and async counted together.
        max_wait: Seconds a call waits in line for a slot; 0: it is refused at once.
    """

    max_concurrent: int = 10
    max_wait: Duration = 0.0

    def __post_init__(self) -> None:
        require(self, "max_concurrent", whole=True, at_least=1)
        require(self, "max_wait", duration=True, at_least=0, infinite=True)

    def build(self, wiring: Wiring) -> Bulkhead:
        """Make the stage."""
        return Bulkhead(self, wiring)


LOOK = 0.2
"""Seconds between two looks of a caller in line at whether those who hold the slots are still there."""


class _Turn:
    """A place in line."""

    __slots__ = ("signal", "slot")

    def __init__(self, signal: Any) -> None:
        self.signal = signal
        """Wakes the one who stands here, in whichever hand."""
        self.slot: Slot | None = None


class Bulkhead(Stage):
    """A fixed number of slots, and a line of those who wait for one: first come, first served."""

    def __init__(self, config: BulkheadConfig, wiring: Wiring) -> None:
        self._wiring = wiring
        self._max_wait = seconds(config.max_wait)
        self._slots = Slots(config.max_concurrent)
        self._rack = self._slots.rack
        self._line: deque[_Turn] = deque()
        self._vanished: Callable[[Any], bool] | None = None
        """What tells that a holder's event loop was closed under it; None: no async function comes here."""
        self._lock = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        """In a forked child nobody is inside or in line."""
        self._lock = threading.RLock()
        self._line.clear()
        self._slots.renew()

    def wrap(self, inner: Handler) -> Handler:
        """Take a slot, run, give it back."""
        self._watch(_blocking.vanished)
        enter, leave, home, wait = self._enter, self._leave, _blocking.home(), self._wait

        def held(call: Call) -> Any:
            slot = enter(home)
            if slot is None:
                slot = wait(call)
            try:
                return inner(call)
            finally:
                leave(slot)

        return held

    def wrap_async(self, inner: AsyncHandler) -> AsyncHandler:
        """Take a slot, run, give it back."""
        self._watch(_async.vanished)
        enter, leave, home, wait = self._enter, self._leave, _async.home(), self._wait_async

        async def held(call: Call) -> Any:
            slot = enter(home)
            if slot is None:
                slot = await wait(call)
            try:
                return await inner(call)
            finally:
                leave(slot)

        return held

    def _wait(self, call: Call) -> Slot:
        """Stand in line for a slot."""
        turn = _Turn(_blocking.Signal())
        try:
            until = self._line_up(call, turn)
            while self._must_wait(turn, until):
                turn.signal.wait(self._wiring.clock, until, LOOK)
            return self._claim(call, turn)
        finally:
            self._step_out(turn)

    async def _wait_async(self, call: Call) -> Slot:
        """Stand in line for a slot."""
        turn = _Turn(_async.Signal())
        try:
            until = self._line_up(call, turn)
            while self._must_wait(turn, until):
                await turn.signal.wait(self._wiring.clock, until, LOOK)
            return self._claim(call, turn)
        finally:
            self._step_out(turn)

    def _watch(self, vanished: Callable[[Any], bool] | None) -> None:
        """Look after the holders of this hand as well."""
        self._vanished = vanished or self._vanished

    def _enter(self, home: Callable[[], Any] | None) -> Slot | None:
        """A slot at once; None: get in line. Nobody overtakes those in line."""
        if self._line:
            return None
        slot = self._slots.take()
        if slot is None:
            with self._lock:
                slot = self._slots.issue()
        if slot is not None and home is not None:
            slot.home = home()
        return slot

    def _line_up(self, call: Call, turn: _Turn) -> float:
        """Get in line, and say until when to stay there."""
        with self._lock:
            self._line.append(turn)
        until = self._wiring.clock.monotonic() + self._max_wait
        return until if call.deadline is None else min(until, call.deadline)

    def _must_wait(self, turn: _Turn, until: float) -> bool:
        """Whether the turn has not come, and there is time left.

        Whoever waits sees to the slots of those who are gone, and to itself if it was forgotten in an interrupt.
        """
        with self._lock:
            self._slots.recover(self._vanished)
            if turn.slot is None and turn not in self._line:
                self._line.appendleft(turn)
        self._serve()
        return turn.slot is None and self._wiring.clock.monotonic() < until

    def _claim(self, call: Call, turn: _Turn) -> Slot:
        """The slot that the turn has brought, or raise."""
        slot, turn.slot = turn.slot, None
        if slot is not None:
            return slot
        if call.deadline is not None and call.deadline <= self._wiring.clock.monotonic():
            raise Expired
        self._wiring.tell(BulkheadRejected, call)
        raise BulkheadFullError(call.name, None, call.last_error) from call.last_error

    def _step_out(self, turn: _Turn) -> None:
        """Leave the line, and give back what the turn may have brought in the last moment."""
        with self._lock:
            if turn in self._line:
                self._line.remove(turn)
        if turn.slot is not None:
            self._leave(turn.slot)

    def _serve(self) -> None:
        """Hand the slots at hand to those in line, in order."""
        served = []
        with self._lock:
            while self._line and (slot := self._slots.take() or self._slots.issue()) is not None:
                turn = self._line[0]
                if _async.vanished(turn.signal.home):
                    self._rack.append(slot)
                else:
                    slot.home, turn.slot = turn.signal.home, slot
                    served.append(turn)
                self._line.popleft()
        for turn in served:
            turn.signal.set()

    def _leave(self, slot: Slot) -> None:
        """Give the slot back."""
        if not slot.void:
            self._rack.append(slot)
        if self._line:
            self._serve()

    def health(self) -> dict[str, Any]:
        """Slots in use and in all, and how many callers stand in line."""
        slots = self._slots
        return {"in_use": slots.in_use, "max_concurrent": slots.limit, "waiting": len(self._line)}
