"""The states of many processes, added up: each publishes its own in a directory that they share.

Counts of a process that has ended stay; what it held (entries, bytes, the state of the circuit) goes with it.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

from ..._every import Every
from ..state import State
from .processes import Process
from .shares import Share, gather, tidy, together, write

SECONDS = 1.0
"""Seconds until others know of a change."""
DETAILS = 10.0
"""Seconds until others know how it changed over time, which costs more to tell."""


class States(Protocol):
    """Gives the states of this process, as the method of that name of every exporter does."""

    def __call__(self, *, detailed: bool = False) -> list[State]:
        """One state per label; *detailed*: with windows and history."""
        ...


def directory_of(environment: str = "PROMETHEUS_MULTIPROC_DIR") -> Path | None:
    """The directory that the processes share, as an environment variable names it; None: it does not."""
    name = os.environ.get(environment)
    return Path(name) if name else None


def read_states(directory: str | Path, *, besides: Process | None = None) -> list[State]:
    """The states that processes have published in *directory*, added up: one per label, sorted.

    Their windows and histories may be 10 seconds old. A file that cannot be read is left out, which is logged once;
    no directory is an empty one.

    Args:
        directory: Where.
        besides: The process whose files do not count.
    """
    return together([share for share in gather(Path(directory)) if besides is None or share.process != besides])


class Publisher:
    """Publishes the states of this process in a directory, soon after they change, and when it ends.

    What a process that is killed has counted in its last second is lost. A forked child goes on by itself, for
    itself: its counts begin at nothing.

    Args:
        directory: Where; it is made if there is none.
        states: Gives them.
    """

    def __init__(self, directory: str | Path, states: States) -> None:
        self.directory = Path(directory)
        self.running = False
        """Whether it publishes."""
        self._states = states
        self._begin()
        _publishers.add(self)

    def _begin(self, *, shy: bool = False) -> None:
        """In a new process, of which nothing is published yet; *shy*: until it has counted something."""
        self._every = Every(SECONDS, self._publish, "pyresilience-publisher")
        self._turn = threading.RLock()
        self._name = f"pyresilience_{os.getpid()}_{token_hex(4)}.json"
        self._process = Process.here()
        self._shy = shy
        self._told: tuple[list[State], bool] | None = None
        self._details: dict[str, dict[str, Any]] = {}
        self._due = 0.0

    def start(self) -> None:
        """Publish now, and from now on; begun already: do nothing."""
        if not self.running:
            self.running = True
            self._every.once()
            self._every.start()
            atexit.register(self.stop)
            self._mind_multiprocessing()

    def stop(self) -> None:
        """Publish once more, and end; ended already: do nothing."""
        atexit.unregister(self.stop)
        self.running = False
        self._every.stop()

    def go_on(self) -> None:
        """In a forked child, do as the parent did."""
        self._begin(shy=True)
        if self.running:
            self._every.start()
            self._mind_multiprocessing()

    def _publish(self) -> None:
        """Write what has changed, or that nothing has; never twice at a time, whoever lost patience with a slow disk."""
        with self._turn:
            self._tell()

    def _tell(self) -> None:
        states, fresh = self._states(), time.monotonic() >= self._due
        if self._shy and not any(map(_has_counted, states)):
            return
        if fresh:
            self._details = {state.function: _details(state) for state in self._states(detailed=True)}
            self._due = time.monotonic() + DETAILS
        told = (states, not self.running)
        if told == self._told and not fresh and self._confirm():
            return
        share = Share(states, self._process, not self.running, self._details, name=self._name)
        write(self.directory, share)
        if self._told is None:
            tidy(self.directory)
        self._told, self._shy = told, False

    def _confirm(self) -> bool:
        """Let others see that this process lives; False: the file is gone."""
        try:
            os.utime(self.directory / self._name)
        except FileNotFoundError:
            return False
        return True

    def _mind_multiprocessing(self) -> None:
        """Stop at the end of a child of `multiprocessing` too, which does not run what `atexit` knows."""
        util, process = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
        if util is None or process is None:
            return
        if process.parent_process() is not None:
            _finalize(self)
        util.register_after_fork(self, _finalize)  # a child forgets what was to be done at its parent's end


_publishers: weakref.WeakSet[Publisher] = weakref.WeakSet()


def _go_on_in_child() -> None:
    for publisher in list(_publishers):
        publisher.go_on()


if hasattr(os, "register_at_fork"):  # after the hooks of threading and of what this module imports
    os.register_at_fork(after_in_child=_go_on_in_child)


def _finalize(publisher: Publisher) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, publisher.stop, exitpriority=0)


def _has_counted(state: State) -> bool:
    return bool((state.cache and state.cache.total_calls) or (state.runs and state.runs.total))


def _details(state: State) -> dict[str, Any]:
    data = state.to_json()
    return {"recent": data["recent"], "history": data["history"]}
