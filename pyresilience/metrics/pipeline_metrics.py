"""The metrics of a pipeline's runs, from its events."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields

from .._forks import renew_in_child
from .._typing import Duration
from ..clock import Clock
from ..errors import RejectedError
from ..events import EventType, ResilienceEvent, Succeeded
from .latencies import BUCKETS, NOTHING, Latencies, bucket, latencies
from .tally import Tally
from .windows import Totals

OUTCOMES = ("success", "failure", "rejected", "fallback")
"""How a run may end: the function's own result, an error, a refusal before the function was called, a stand-in."""

STAGES = ("circuit_breaker", "rate_limiter", "bulkhead", "timeout", "other")
"""Who may refuse a call; `other` is a stage of your own."""

SERIES = (*OUTCOMES, "retries", "timeouts")
"""What is drawn over time, in the order of the totals."""

_COUNTED = {EventType.RETRY: 4, EventType.TIMEOUT: 5, EventType.FALLBACK_USED: 6}
_REFUSALS = (EventType.CIRCUIT_REJECTED, EventType.RATE_LIMITED, EventType.BULKHEAD_REJECTED)
_REFUSED = 7
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
        numbers = (each.name for each in fields(self) if each.name not in ("rejections", "latency"))
        return RunSnapshot(
            **{name: getattr(self, name) + getattr(other, name) for name in numbers},
            rejections=tuple(map(int.__add__, self.rejections, other.rejections)),
            latency=self.latency + other.latency,
        )


class PipelineMetrics:
    """A listener that counts, per function, how runs ended, how long they took, and what the stages did.

    `CacheConfig(enable_metrics=True)` brings one; give one in `listeners=` to a pipeline without a cache. What it
    counts is told by the function's label, its module and qualified name: no argument, no text of an error.

    Args:
        window_sizes: The windows that can be asked for; None: a minute, an hour and a day.
        clock: Where the time of the windows is read.
    """

    wants = frozenset({EventType.SUCCESS, EventType.FAILURE, *_COUNTED, *_REFUSALS})
    """The events that it needs to hear."""

    def __init__(self, window_sizes: Sequence[Duration] | None = None, *, clock: Clock | None = None) -> None:
        self._window_sizes = window_sizes
        self._clock = clock
        self._tallies: dict[str, Tally] = {}
        self._unheard = Tally(_WIDTH, window_sizes, clock=clock)
        """Stands for a function that was not heard of."""
        self.window_sizes = tuple(self._unheard.lengths)
        """The windows that can be asked for, in seconds."""
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child has a lock of its own; its tallies begin anew by themselves."""
        self._lock = threading.RLock()

    def __call__(self, event: ResilienceEvent) -> None:
        """Count *event*."""
        kind = event.event_type
        if kind not in self.wants:
            return
        label = getattr(event.function_name, "label", event.function_name)
        tally = self._tallies.get(label) or self._tally(label)
        with tally.lock:
            tally.advance(tally.now())
            if kind in _COUNTED:
                tally.totals[_COUNTED[kind]] += 1
            elif kind in _REFUSALS:
                tally.totals[_REFUSED + _place(getattr(event, "stage", ""))] += 1
            else:
                tally.totals[OUTCOMES.index(_outcome(event))] += 1
                took = event.duration or 0.0
                tally.totals[_TIME] += took
                tally.totals[_LATENCY + bucket(took)] += 1

    @property
    def functions(self) -> list[str]:
        """The labels of the functions that were heard of."""
        return sorted(self._tallies)

    def get_stats(self, function: str, window: Duration | None = None) -> RunSnapshot:
        """The runs of the function of that label since the beginning, or in the last *window* seconds.

        Raises:
            TypeError: *window* is no duration.
            ValueError: *window* is not above 0, or longer than the longest window.
        """
        tally = self._tallies.get(function) or self._unheard
        with tally.lock:
            return _snapshot(tally.within(window))

    def history(self, function: str, window: float) -> dict[str, list[int]]:
        """Outcomes, retries and time-outs in each sixteenth of the last *window* seconds, the oldest first.

        Raises:
            ValueError: *window* is longer than the longest window.
        """
        tally = self._tallies.get(function) or self._unheard
        with tally.lock:
            return dict(zip(SERIES, tally.history(window, range(len(SERIES))), strict=True))

    def reset(self) -> None:
        """Begin anew."""
        with self._lock:
            self._tallies.clear()

    def restore(self, function: str, runs: RunSnapshot) -> None:
        """Add the runs that an earlier process counted of the function of that label; its windows do not see them."""
        numbers = (getattr(runs, each.name) for each in fields(runs) if each.name not in ("rejections", "latency"))
        self._tally(function).restore([*numbers, *runs.rejections, runs.latency.total, *runs.latency.counts])

    def _tally(self, label: str) -> Tally:
        with self._lock:
            if label not in self._tallies:
                self._tallies[label] = Tally(_WIDTH, self._window_sizes, clock=self._clock)
            return self._tallies[label]


def _outcome(event: ResilienceEvent) -> str:
    if isinstance(event, Succeeded):
        return "fallback" if event.stood_in else "success"
    return "rejected" if isinstance(event.error, RejectedError) else "failure"


def _place(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES) - 1


def _snapshot(totals: Totals) -> RunSnapshot:
    success, failure, rejected, fallback, retries, timeouts, fallbacks, *refused = map(int, totals[:_TIME])
    return RunSnapshot(
        success,
        failure,
        rejected,
        fallback,
        retries,
        timeouts,
        fallbacks,
        tuple(refused),
        latencies(totals[_LATENCY:], totals[_TIME]),
    )
