"""The functions of this process that have metrics."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from .._forks import renew_in_child
from .._functions import label_of
from .subject import Subject


class Roster:
    """Keeps none of them alive."""

    def __init__(self) -> None:
        self._functions: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child has a lock of its own, and the same functions."""
        self._lock = threading.RLock()

    def add(self, function: Callable[..., Any]) -> None:
        """Enter a decorated function that has metrics."""
        with self._lock:
            self._functions.add(function)

    def subjects(self) -> list[Subject]:
        """All that are alive and have metrics now, sorted by label."""
        with self._lock:
            functions = sorted(self._functions, key=label_of)
        return [subject for subject in map(Subject, functions) if subject.is_measured]


roster = Roster()
"""The one of this process."""
