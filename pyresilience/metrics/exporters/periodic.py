"""Exporters that do it again and again."""

from __future__ import annotations

import atexit
import threading
from abc import abstractmethod
from typing import cast

from ..._every import Every
from ..._log import log
from ..._settings import require
from ..._typing import Duration
from .base import MetricsExporter


class PeriodicExporter(MetricsExporter):
    """Exports every so many seconds in a thread of its own, and once more when it is stopped or the program ends.

    What fails is logged once, and tried again the next time. In a forked child it is stopped; start it there.

    Args:
        interval: Seconds from the end of one time to the beginning of the next.
        name: What the thread is called, after `pyresilience-`.

    Raises:
        TypeError: *interval* is no duration.
        ValueError: It is not above 0, or longer than the system can wait.
    """

    def __init__(self, interval: Duration, name: str) -> None:
        self.interval = cast("float", interval)  # `require` makes seconds of it
        require(self, "interval", duration=True, above=0, at_most=threading.TIMEOUT_MAX)
        super().__init__()
        self._every = Every(self.interval, self.flush, f"pyresilience-{name}")

    def renew(self) -> None:
        """A forked child has locks of its own."""
        super().renew()
        self._turn = threading.RLock()
        self._at_it = self._failing = False

    def start(self) -> None:
        """Begin to export; begun already: do nothing."""
        atexit.unregister(self.stop)
        atexit.register(self.stop)
        self._every.start()

    def stop(self) -> None:
        """Export once more, and end; ended already: do nothing."""
        atexit.unregister(self.stop)
        self._every.stop()

    def flush(self) -> None:
        """Export what there is now, and not only when it is time."""
        with self._turn:
            if self._at_it:  # a signal handler has interrupted it, in this thread
                return
            self._at_it = True
            try:
                self._attempt()
            finally:
                self._at_it = False

    def _attempt(self) -> None:
        try:
            self._export()
        except Exception as error:  # noqa: BLE001 - whatever it is, the program goes on; it is logged
            self._complain(error)
        else:
            if self._failing:
                self._failing = False
                log().info("%s works again", type(self).__name__)

    def _complain(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            log().warning(
                "%s failed, this is logged once and tried again every %g s: %s: %s",
                type(self).__name__,
                self.interval,
                type(error).__name__,
                error,
                exc_info=None if isinstance(error, OSError) else error,
            )

    @abstractmethod
    def _export(self) -> None:
        """Do it; whatever it raises is logged. Never twice at a time."""
