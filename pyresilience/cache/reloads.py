"""Reloads in the background: owned by the cache, bounded in number, one per key, and ended with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, TypeAlias

from .. import _async
from .._blocking import Ended, Task
from .._forks import renew_in_child
from .._lifecycle import lifecycle
from .._outcome import Crowded
from ..context import deadline_around
from .flight import leading

Spawn: TypeAlias = Callable[[Callable[[], Any], Context, Ended], Task]


class Errand:
    """One reload."""

    __slots__ = ("_heard", "key", "over", "task")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.task: Task | None = None
        """Where it runs; None: it is about to begin."""
        self.over = False
        self._heard: list[Callable[[], object]] = []

    @property
    def is_lost(self) -> bool:
        """Whether the event loop it lived in was closed under it."""
        return self.task is not None and _async.vanished(self.task.home)

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

    def renew(self) -> None:
        """In a forked child none runs."""
        self._lock = threading.RLock()
        self._errands: dict[Hashable, Errand] = {}

    @property
    def running(self) -> int:
        """How many run now."""
        return len(self.errands())

    def errands(self) -> list[Errand]:
        """Those that run now."""
        with self._lock:
            for errand in [*self._errands.values()]:
                if errand.is_lost:
                    self._forget(errand)
            return [*self._errands.values()]

    def begin(
        self,
        key: Hashable,
        board: Callable[[], bool],
        work: Callable[[], Any],
        spawn: Spawn,
        ended: Ended,
    ) -> bool:
        """Do *work* for *key* in the background, if there is room, and *board* agrees; True: it begins.

        Once boarded, it is told that it *ended*, whatever happens.
        """
        errand = Errand(key)
        try:
            if self._reserve(errand):
                self._start(errand, board, work, spawn, ended)
            if errand.task is None:
                self._end(errand, ended, None)
        except BaseException:  # interrupted: nothing of it remains
            if errand.task is None:
                self._end(errand, ended, None)
            raise
        return errand.task is not None

    def _start(
        self, errand: Errand, board: Callable[[], bool], work: Callable[[], Any], spawn: Spawn, ended: Ended
    ) -> None:
        """Let it board and go; if it cannot, it has no task."""
        context = _aside()
        with suppress(Crowded):
            if context.run(board):
                errand.task = spawn(work, context, lambda error: self._end(errand, ended, error))

    def _reserve(self, errand: Errand) -> bool:
        with self._lock:
            if len(self.errands()) >= self.limit or self.closed or lifecycle.closed:
                return False
            return self._errands.setdefault(errand.key, errand) is errand

    def close(self) -> list[Errand]:
        """Begin none any more, and ask those that run to end."""
        self.closed = True
        errands = self.errands()
        for errand in errands:
            if errand.task is not None:
                errand.task.cancel()
        return errands

    def _end(self, errand: Errand, ended: Ended, error: BaseException | None) -> None:
        try:
            ended(error)
        finally:
            self._forget(errand)
            errand.end()

    def _forget(self, errand: Errand) -> None:
        with self._lock:
            if self._errands.get(errand.key) is errand:
                del self._errands[errand.key]


def _aside() -> Context:
    """The context of a caller, without what bounds that caller: no deadline, and no flight around it."""
    context = copy_context()
    context.run(deadline_around.set, None)
    context.run(leading.set, None)
    return context
