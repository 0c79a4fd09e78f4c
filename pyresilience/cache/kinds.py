"""The flights that are not simply a caller's own: what runs in the background, who waits for that, and what runs anew."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any

from .._outcome import Outcome
from .flight import Flight
from .shelf import Row


class Waiting(Flight):
    """A call that has something computed in the background, and waits for it."""

    scheduled = True

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Refresh(Flight):
    """A call that computes anew, whatever is kept."""

    excusable = False

    def replaces(self, row: Row) -> bool:
        """Whatever it is."""
        return True


class Astray(BaseException):
    """The arguments of a reload are not what they were any more: nobody sees this, the reload just ends."""


class Reload(Flight):
    """A run in the background, which is to replace one row.

    Args:
        row: That row.
        name: The function, as events call it.
        waiter: The call that has it run, and waits for it; None: that does not wait.
        is_right: Tells whether arguments make the key of that row.
    """

    counted = 0
    storable = True

    def __init__(
        self,
        row: Row,
        name: str,
        waiter: Waiting | None,
        is_right: Callable[[tuple[Any, ...], dict[str, Any]], bool],
    ) -> None:
        self._row = row
        self._waiter = waiter
        self._is_right: Callable[..., bool] | None = is_right
        self.name = name

    def vet(self) -> None:
        """Make sure that it computes what it is for: once their call is over, those who gave the arguments may use them.

        Raises:
            Astray: It does not any more.
        """
        if self._waiter is not None and not self._waiter.over:
            return
        if self._is_right is not None and not self._is_right(self.args, self.kwargs):
            raise Astray

    def forestall(self, outcome: Outcome, source: str) -> None:
        """Tell the call that has it run the *outcome*, in case that is not in line yet; the holder locks."""
        waiter = self._waiter
        if waiter is not None and waiter.line is None:
            waiter.outcome, waiter.source = outcome, source

    def let_go(self) -> None:
        """It is over, and need not hold on to the call that began it."""
        self._waiter = self._is_right = None

    def replaces(self, row: Row) -> bool:
        """That one, and no later one."""
        return row is self._row

    def begun(self) -> None:
        """It runs in another thread, or an event loop, from now on: whoever began it may wait for it."""
        if self.thread == get_ident():
            self.thread = 0
