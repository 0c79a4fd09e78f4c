"""Time per call: the call is compiled into a loop, the loop is fitted to the time a sample may take."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from functools import cache
from itertools import count, islice
from time import perf_counter
from typing import Any

_SYNC = """
def drive(turns):
    began = now()
    for i in islice(numbers, turns):
{body}
    return now() - began
"""
_ASYNC = _SYNC.replace("def", "async def")

_FEWEST = 0.25
"""A loop that takes this share of the time asked for is long enough to be fitted by proportion."""


class Timed:
    """Seconds per call.

    Args:
        call: The expression to time; `i` in it is a number that never comes again.
        names: What the expression uses.
        copies: How often it stands in the body of the loop, so that the loop itself costs next to nothing. More than
            one is wrong for a call that uses `i`.
        is_async: Await it, inside one running coroutine.
    """

    def __init__(self, call: str, names: dict[str, Any], *, copies: int, is_async: bool) -> None:
        line = f"        {'await ' if is_async else ''}{call}\n"
        scope = {**names, "islice": islice, "numbers": count(), "now": perf_counter}
        exec((_ASYNC if is_async else _SYNC).format(body=line * copies), scope)
        drive: Callable[[int], Any] = scope["drive"]
        self._run: Callable[[int], float] = (lambda turns: _runner().run(drive(turns))) if is_async else drive
        self._copies = copies
        self._turns = 0

    def __call__(self, seconds: float) -> float:
        """Run for about *seconds*, the garbage collector off."""
        self._turns = self._turns or self._fit(seconds)
        return self._undisturbed(self._turns) / (self._turns * self._copies)

    def _fit(self, seconds: float) -> int:
        self._undisturbed(1)  # what only the first call does, such as an import, is not what calls cost
        turns = 1
        while (took := self._undisturbed(turns)) < seconds * _FEWEST:
            turns *= 2
        return max(1, round(turns * seconds / took))

    def _undisturbed(self, turns: int) -> float:
        gc.collect()
        gc.disable()
        try:
            return self._run(turns)
        finally:
            gc.enable()


@cache
def _runner() -> asyncio.Runner:
    """The one event loop of this process."""
    return asyncio.Runner()


def timed(call: str, *, copies: int = 10, **names: Any) -> Timed:
    """Time a plain call."""
    return Timed(call, names, copies=copies, is_async=False)


def timed_async(call: str, *, copies: int = 10, **names: Any) -> Timed:
    """Time a call that is awaited."""
    return Timed(call, names, copies=copies, is_async=True)
