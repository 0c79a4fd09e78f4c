"""The runs of one function: how they ended, how long they took, what the stages did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._typing import Duration
from ..clock import Clock
from ..errors import RejectedError
from ..events import EventType, ResilienceEvent
from .latencies import BUCKETS, NOTHING, Latencies, bucket, latencies
from .tally import Tally
from .windows import Totals

OUTCOMES = ("success", "failure", "rejected", "fallback")
"""How a run may end: the function's own result, an error, a refusal by a stage, a stand-in."""

STAGES = ("circuit_breaker", "rate_limiter", "bulkhead", "timeout", "other")
"""Who may refuse a call; `other` is a stage of your own."""

NUMBERS = (*OUTCOMES, "retries", "timeouts", "fallbacks")
"""The plain counts, in the order of the totals."""

SERIES = (*OUTCOMES, "retries", "timeouts")
"""What is drawn over time, in the order of the totals."""

COUNTED = {EventType.RETRY: 4, EventType.TIMEOUT: 5, EventType.FALLBACK_USED: 6}
REFUSALS = (EventType.CIRCUIT_REJECTED, EventType.RATE_LIMITED, EventType.BULKHEAD_REJECTED)
ENDS = (EventType.SUCCESS, EventType.FAILURE)
_REFUSED = len(NUMBERS)
_TIME = _REFUSED + len(STAGES)
_LATENCY = _TIME + 1
_WIDTH = _LATENCY + BUCKETS


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """The runs of one function at one moment, or in one window. Cache hits are no runs.

    Args:
        success: Runs that returned the function's result.
        failure: Runs that raised.
        rejected: Runs that raised because a stage refused them.
        fallback: Runs that returned a stand-in.
        retries: Attempts that followed a failed one.
        timeouts: Limits that passed.
        fallbacks: Stand-ins that were given.
        rejections: Refusals, in the order of `STAGES`; one run may meet several.
        latency: How long the runs took.
    """

    success: int = 0
    failure: int = 0
    rejected: int = 0
    fallback: int = 0
    retries: int = 0
    timeouts: int = 0
    fallbacks: int = 0
    rejections: tuple[int, ...] = (0,) * len(STAGES)
    latency: Latencies = NOTHING

    @property
    def total(self) -> int:
        """All runs."""
        return self.success + self.failure + self.rejected + self.fallback

    def __add__(self, other: RunSnapshot) -> RunSnapshot:
        return RunSnapshot(
            **{name: count + other.numbers()[name] for name, count in self.numbers().items()},
            rejections=tuple(map(int.__add__, self.rejections, other.rejections)),
            latency=self.latency + other.latency,
        )

    def numbers(self) -> dict[str, int]:
        """The plain counts, in order."""
        return {name: getattr(self, name) for name in NUMBERS}


class RunMetrics:
    """Counts the runs of one function.

    Args:
        window_sizes: The windows that can be asked for; None: a minute, an hour and a day.
        clock: Where the time of the windows is read.
    """

    def __init__(self, window_sizes: Sequence[Duration] | None = None, *, clock: Clock | None = None) -> None:
        self._tally = Tally(_WIDTH, window_sizes, clock=clock)

    @property
    def window_sizes(self) -> tuple[float, ...]:
        """The windows that can be asked for, in seconds."""
        return tuple(self._tally.lengths)

    def count(self, event: ResilienceEvent) -> None:
        """Count *event*, which is one of those that are counted."""
        kind, took = event.event_type, event.duration or 0.0
        if kind in COUNTED:
            place = COUNTED[kind]
        elif kind in REFUSALS:
            place = _REFUSED + _stage(getattr(event, "stage", ""))
        else:
            place = OUTCOMES.index(outcome_of(event))
        duration = _LATENCY + bucket(took)
        with self._tally.lock:
            self._tally.advance(self._tally.now())
            totals = self._tally.totals
            totals[place] += 1
            if kind in ENDS:
                totals[duration] += 1
                totals[_TIME] += took

    def get_stats(self, window: Duration | None = None) -> RunSnapshot:
        """The runs since the beginning, or in the last *window* seconds.

        Raises:
            TypeError: *window* is no duration.
            ValueError: *window* is not above 0, or longer than the longest window.
        """
        with self._tally.lock:
            return _snapshot(self._tally.within(window))

    def history(self, window: float) -> dict[str, list[int]]:
        """Outcomes, retries and time-outs in each sixteenth of the last *window* seconds, the oldest first.

        Raises:
            ValueError: *window* is longer than the longest window.
        """
        with self._tally.lock:
            return dict(zip(SERIES, self._tally.history(window, range(len(SERIES))), strict=True))

    def restore(self, runs: RunSnapshot) -> None:
        """Add what an earlier process counted; the windows do not see it."""
        self._tally.restore([*runs.numbers().values(), *runs.rejections, runs.latency.total, *runs.latency.counts])


def outcome_of(event: ResilienceEvent) -> str:
    """How the run ended that *event* is the end of: one of `OUTCOMES`."""
    if event.event_type is EventType.SUCCESS:
        return "fallback" if getattr(event, "stood_in", False) else "success"
    refused = getattr(event.error, "name", None) if isinstance(event.error, RejectedError) else None
    return "rejected" if refused == event.function_name else "failure"


def _stage(name: str) -> int:
    return STAGES.index(name) if name in STAGES else len(STAGES) - 1


def _snapshot(totals: Totals) -> RunSnapshot:
    counts = [int(count) for count in totals[:_TIME]]
    durations = latencies(totals[_LATENCY:], totals[_TIME])
    numbers = dict(zip(NUMBERS, counts, strict=False))
    return RunSnapshot(**numbers, rejections=tuple(counts[_REFUSED:]), latency=durations)
