"""Exporters that send what has been counted since the last time."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from ..families import Metric, Point
from .deltas import Deltas
from .periodic import PeriodicExporter

MessageT = TypeVar("MessageT")


class SendingExporter(PeriodicExporter, Generic[MessageT]):
    """Sends differences as messages, each of them once: what could not be sent goes out before anything new."""

    def renew(self) -> None:
        """What a forked child's parent has not sent yet, the parent sends."""
        super().renew()
        self._deltas = Deltas()
        self._unsent: deque[MessageT] = deque()

    def _export(self) -> None:
        self._hand_over()
        self._unsent.extend(self._messages(self._deltas.gains_of([self])))
        self._hand_over()

    def _hand_over(self) -> None:
        while self._unsent:
            self._send(self._unsent[0])
            self._unsent.popleft()

    @abstractmethod
    def _messages(self, gains: list[tuple[Metric, list[Point]]]) -> Iterable[MessageT]:
        """What is sent: counters and histograms as what they have gained, gauges as they are."""

    @abstractmethod
    def _send(self, message: MessageT) -> None:
        """Send it.

        Raises:
            OSError: It could not be sent; it is tried again the next time.
        """
