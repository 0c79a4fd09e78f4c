"""One run: the script, the upstream and the callers together, row by row."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .child import Upstream
from .load import Crowd
from .scoreboard import Row, Scoreboard, Tally, total
from .script import Beat

GLANCE = 0.02
"""Seconds between two looks at whether somebody pressed Ctrl-C."""

PATIENCE = 10.0
"""Seconds to wait at the end for the calls under way; they have limits of their own."""

AT_ONCE = 0.3
"""The same after Ctrl-C."""


class FaultError(Exception):
    """Something happened that may not happen: the demo, or the library, is broken."""


@dataclass(slots=True)
class Run:
    """What one run came to."""

    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    """How long calls were begun."""
    peak: int = 0
    """The most requests that were open at the upstream at once."""
    interrupted: bool = False

    def tally(self, phase: str | None = None) -> Tally:
        """The counts of all rows, or of those of one phase."""
        return total(row.tally for row in self.rows if phase in (None, row.phase))

    def requests(self, phase: str | None = None) -> int:
        """Requests that the upstream counted, in all or in one phase."""
        return sum(row.requests for row in self.rows if phase in (None, row.phase))

    def length(self, phase: str) -> float:
        """Seconds that one phase lasted."""
        ends = [0.0, *(row.at for row in self.rows)]
        return sum(row.at - began for began, row in zip(ends, self.rows, strict=False) if row.phase == phase)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a run takes place, and who watches."""

    upstream: Upstream
    crowd: Crowd
    board: Scoreboard
    circuit: Callable[[], str]
    """The state of the circuit now."""
    show: Callable[[Row], None]
    interrupted: Callable[[], bool]

    def play(self, script: Sequence[Beat]) -> Run:
        """Let the callers call until the script ends, or somebody interrupts.

        Raises:
            FaultError: A caller met an error that nothing in the script explains.
            UpstreamDiedError: The upstream is gone.
        """
        run = Run()
        self.crowd.start()
        began = time.monotonic()
        for beat in script:
            self.upstream.fare(beat.phase)
            self._wait(began + beat.ends, lambda: True)
            at, last = beat.ends, beat is script[-1] or self.interrupted()
            if last:
                run.seconds = time.monotonic() - began
                run.interrupted = self.interrupted()
                at = min(at, run.seconds)
                self._send_home()
            run.rows.append(self._row(run, at, beat.phase))
            self.show(run.rows[-1])
            if self.crowd.faults:
                raise FaultError(f"a caller met {self.crowd.faults[0]!r}") from self.crowd.faults[0]
            if last:
                break
        return run

    def _send_home(self) -> None:
        """Wait for the calls under way, so that they are counted in the last row."""
        self.crowd.stop()
        self._wait(time.monotonic() + PATIENCE, lambda: self.crowd.under_way)
        deadline = time.monotonic() + AT_ONCE
        while self.crowd.under_way and time.monotonic() < deadline:
            time.sleep(GLANCE)
        if self.crowd.under_way and not self.interrupted():
            raise FaultError(f"calls are still under way {PATIENCE:g} s after the last one began")

    def _wait(self, until: float, necessary: Callable[[], bool]) -> None:
        """Let time pass while it is *necessary* and nobody interrupts."""
        while (left := until - time.monotonic()) > 0 and necessary() and not self.interrupted():
            time.sleep(min(GLANCE, left))

    def _row(self, run: Run, at: float, phase: str) -> Row:
        stats = self.upstream.stats()
        run.peak = stats["peak"]
        return Row(at, phase, self.circuit(), stats["requests"] - run.requests(), self.board.turn())
