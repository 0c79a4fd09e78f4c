"""Work that is done again and again, beside the calls: an exporter's sending, a snapshot's writing."""

from __future__ import annotations

import threading
from collections.abc import Callable

from . import _blocking
from ._forks import renew_in_child
from ._log import log

PATIENCE = 5.0
"""Seconds that a thread is waited for which is told to end."""


class Every:
    """A daemon thread that does something every so many seconds.

    What it does may fail: that is logged once, and tried again the next time.

    Args:
        seconds: From the end of one time to the beginning of the next.
        action: What is done.
        name: What the thread is called.
    """

    def __init__(self, seconds: float, action: Callable[[], object], name: str) -> None:
        self._seconds = seconds
        self._action = action
        self._name = name
        self._grumbled = False
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """In a forked child nothing runs; `start()` begins there anew."""
        self._lock = threading.RLock()
        self._stop: threading.Event | None = None
        self._thread: _blocking.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._thread is not None

    def start(self) -> None:
        """Begin, the first time after so many seconds; begun already: do nothing."""
        with self._lock:
            if self._thread is None:
                stop = self._stop = threading.Event()
                self._thread = _blocking.in_background(lambda: self._go_on(stop), self._name)

    def stop(self) -> None:
        """Do it once more, in the caller's thread, and end; ended already: do nothing.

        The thread is waited for, but not for ever: it may be stuck in what it does.
        """
        with self._lock:
            thread, stop, self._thread, self._stop = self._thread, self._stop, None, None
        if thread is None or stop is None:
            return
        stop.set()
        if thread is not threading.current_thread():
            thread.join(PATIENCE)
        self.once()

    def once(self) -> None:
        """Do it now."""
        try:
            self._action()
        except Exception:  # noqa: BLE001 - it is logged, and tried again
            if not self._grumbled:
                self._grumbled = True
                log().exception("%s failed; this is logged once, and tried again", self._name)

    def _go_on(self, stop: threading.Event) -> None:
        while not stop.wait(self._seconds):
            self.once()
