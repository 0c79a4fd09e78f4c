"""Reloads in the background: owned by the cache, bounded in number, one per key, and ended with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeAlias

from .. import _async
from .._blocking import Ended, Task
from .._forks import renew_in_child
from .._lifecycle import lifecycle
from .._outcome import Crowded
from ..context import deadline_around
from .flight import leading
from .keys import Scope

Spawn: TypeAlias = Callable[[Callable[[], Any], Context, Ended, Task], None]


class Errand:
    """One reload.

    Args:
        scope: The function it is for, in a cache that several share.
        board: Takes its place before it begins; False: there is no need of it.
        work: Does it.
        ended: Is told that it has ended, in any case.
        fence: Lets nothing of it be kept.
    """

    __slots__ = ("_heard", "board", "ended", "fence", "over", "scope", "stopped", "task", "told", "work")

    def __init__(
        self,
        scope: Scope | None,
        *,
        board: Callable[[], bool],
        work: Callable[[], Any],
        ended: Ended,
        fence: Callable[[], object],
    ) -> None:
        self.scope = scope
        self.board = board
        self.work = work
        self.ended = ended
        self.fence = fence
        self.task = Task()
        self.over = self.stopped = self.told = False
        self._heard: list[Callable[[], object]] = []

    @property
    def is_lost(self) -> bool:
        """Whether the event loop it lived in was closed under it."""
        return _async.vanished(self.task.home)

    def when_over(self, tell: Callable[[], object]) -> None:
        """Call *tell* once it has ended, or at once."""
        self._heard.append(tell)
        if self.over:
            tell()

    def end(self) -> None:
        """It has ended."""
        self.over = True
        for tell in self._heard:
            tell()

    def stop(self) -> None:
        """Keep nothing of it, and ask it to end, once."""
        if not self.stopped:
            self.stopped = True
            self.fence()
            self.task.cancel()


class Reloads:
    """What a cache computes without anybody waiting for it.

    Args:
        limit: How many at once.
    """

    __slots__ = ("__weakref__", "_errands", "_lock", "closed", "failures", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.closed = False
        """None begins any more."""
        self.failures = 0
        """How many have failed."""
        self.renew()
        renew_in_child(self)
        lifecycle.employers.add(self)

    def renew(self) -> None:
        """In a forked child none runs."""
        self._lock = threading.RLock()
        self._errands: dict[Errand, None] = {}

    @property
    def running(self) -> int:
        """How many run now."""
        return len(self.errands())

    def running_of(self, scope: Scope | None) -> int:
        """How many run now for the function of *scope*, or for all."""
        return sum(scope in (None, errand.scope) for errand in self.errands())

    def errands(self) -> list[Errand]:
        """Those that run now; those that were lost are given up."""
        with self._lock:
            errands = [*self._errands]
        for errand in errands:
            if errand.is_lost:
                self._forget(errand)
                with suppress(Exception):  # it does not want to end, or its own cleanup fails
                    errand.task.abandon()
                errand.end()
            elif errand.task.is_done():  # an interrupt kept it from being told
                self._end(errand, None)
        return [errand for errand in errands if not (errand.is_lost or errand.over)]

    def begin(self, errand: Errand, spawn: Spawn) -> bool:
        """Let *errand* run in the background, if there is room, and it is needed; True: it begins."""
        begun = False
        try:
            begun = self._reserve(errand) and self._start(errand, spawn)
            if not begun:
                self._end(errand, None)
        except BaseException:  # interrupted: nothing of it remains, unless it runs already
            if not begun and errand.task.beginner:
                self._end(errand, None)
            raise
        return begun

    def close(self) -> list[Errand]:
        """Begin none any more, and ask those that run to end."""
        self.closed = True
        errands = self.errands()
        for errand in errands:
            errand.stop()
        return errands

    def _reserve(self, errand: Errand) -> bool:
        """Whether there is room for it; then it has that."""
        if len(self._errands) >= self.limit:
            self.errands()
        with self._lock:
            if len(self._errands) >= self.limit or self.closed or lifecycle.closed:
                return False
            self._errands[errand] = None
            return True

    def _start(self, errand: Errand, spawn: Spawn) -> bool:
        """Let it board and go; False: it cannot."""
        context = _aside()
        if not context.run(errand.board):
            return False
        try:
            spawn(errand.work, context, partial(self._end, errand), errand.task)
        except (Crowded, Exception):  # noqa: BLE001 - there is no thread to be had, or the event loop is about to end
            return False
        errand.task.beginner = 0
        if self.closed:  # since we looked, so it was asked to end before it could
            errand.stopped = False
            errand.stop()
        return True

    def _end(self, errand: Errand, error: BaseException | None) -> None:
        try:
            if not errand.told:
                errand.ended(error)
                errand.told = True
        finally:
            self._forget(errand)
            errand.end()

    def _forget(self, errand: Errand) -> None:
        with self._lock:
            self._errands.pop(errand, None)


def _aside() -> Context:
    """The context of a caller, without what bounds that caller: no deadline, and no flight around it."""
    context = copy_context()
    context.run(deadline_around.set, None)
    context.run(leading.set, None)
    return context
