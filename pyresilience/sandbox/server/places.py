"""How much runs at once in the whole server, whatever the number of its sandboxes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..errors import SandboxClosedError, SandboxError

if TYPE_CHECKING:
    from ..executors.base import Executor, Running
    from ..job import Execution, Job

WAITING = 1024
"""Requests to run code that may be under way at once, those that wait for another's identical run included."""


class NoPlaceError(SandboxError):
    """As much runs as may."""


class Places:
    """The places of a server.

    Args:
        runs: How many programs may run at once.
        waiting: How many requests to run one may be under way.
    """

    def __init__(self, runs: int, waiting: int = WAITING) -> None:
        self.runs = runs
        self._waiting = waiting
        self._running = self._under_way = 0
        self._lock = threading.RLock()

    @property
    def running(self) -> int:
        """How many programs run."""
        return self._running

    def take(self) -> None:
        """Take a place to run.

        Raises:
            NoPlaceError: None is free.
        """
        with self._lock:
            if self._running >= self.runs:
                raise NoPlaceError(f"{self.runs} programs run already, which is as many as this server may run at once")
            self._running += 1

    def leave(self) -> None:
        """Give a place back."""
        with self._lock:
            self._running -= 1

    @contextmanager
    def request(self) -> Iterator[None]:
        """Be a request that is under way.

        Raises:
            NoPlaceError: Too many are.
        """
        with self._lock:
            if self._under_way >= self._waiting:
                raise NoPlaceError(f"{self._waiting} requests are under way, which is as many as this server takes")
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1


class SeatedExecutor:
    """An executor of one sandbox: takes places of the whole server, and ends its own runs only.

    Args:
        inner: What runs the code.
        places: The server's.
    """

    def __init__(self, inner: Executor, places: Places) -> None:
        self.name = inner.name
        self._inner = inner
        self._places = places
        self._own: set[_Seated] = set()
        self._closed = False
        self._lock = threading.RLock()

    def languages(self) -> Mapping[str, str]:
        """What the inner one runs."""
        return self._inner.languages()

    def start(self, job: Job) -> Running:
        """Start *job*.

        Raises:
            NoPlaceError: As many run as may.
            SandboxClosedError: It was closed.
            UnknownLanguageError: There is no interpreter for the language.
            OSError: The system does not let it start.
        """
        if self._closed:
            raise SandboxClosedError("the sandbox has ended: create another")
        self._places.take()
        try:
            seated = _Seated(self._inner.start(job), self)
        except BaseException:
            self._places.leave()
            raise
        with self._lock:
            self._own.add(seated)
            closed = self._closed
        if closed:  # in this very moment
            seated.kill()
        return seated

    def left(self, seated: _Seated) -> None:
        """A run has ended."""
        with self._lock, suppress(KeyError):
            self._own.remove(seated)
            self._places.leave()

    def close(self) -> None:
        """Kill what runs here; what the inner one runs for others goes on."""
        with self._lock:
            self._closed = True
            running = list(self._own)
        for each in running:
            each.kill()


class _Seated:
    """A run that holds a place."""

    def __init__(self, inner: Running, executor: SeatedExecutor) -> None:
        self._inner = inner
        self._executor = executor

    def wait(self) -> Execution:
        try:
            return self._inner.wait()
        finally:
            self._executor.left(self)

    def kill(self) -> None:
        self._inner.kill()
