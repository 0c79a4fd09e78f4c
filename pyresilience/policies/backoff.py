"""How long to wait between attempts. The one place that knows tenacity, whose strategies plug in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenacity import RetryCallState

FLOOR = 0.1
"""Full jitter never goes below this part of the delay, so that retries keep their distance."""


def exponential(attempt: int, *, first: float, factor: float, limit: float) -> float:
    """The delay in seconds after *attempt* failed: `first * factor ** (attempt - 1)`, at most *limit*."""
    try:
        return min(limit, first * factor ** (attempt - 1))
    except OverflowError:
        return limit if first else 0.0


def scatter(delay: float, kind: str | None, die: float, *, first: float, limit: float, last: float | None) -> float:
    """Spread *delay* by *die* in [0, 1), so that callers who failed together do not come back together.

    `full`, `equal` and `decorrelated` are those of Marc Brooker, "Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015; *last* is the delay before this one. None: no spread.
    """
    if kind is None:
        return delay
    if kind == "full":
        return delay * max(FLOOR, die)
    if kind == "equal":
        return delay * (0.5 + 0.5 * die)
    previous = first if last is None else last
    return min(limit, first + die * max(0.0, 3.0 * previous - first))


def clamp(delay: Any, limit: float) -> float | None:
    """A delay that a stranger's function returned, brought into [0, limit]; None: it is not a number."""
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or delay != delay:  # noqa: PLR0124 - NaN
        return None
    return float(min(max(delay, 0.0), limit))


def state(
    attempt: int, began: float, now: float, slept: float, result: Any, error: BaseException | None
) -> RetryCallState:
    """What a tenacity strategy wants to know of the attempt that just ended, times taken from our clock."""
    from tenacity import RetryCallState

    told = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    told.attempt_number = attempt
    if error is None:
        told.set_result(result)
    else:
        told.set_exception((type(error), error, error.__traceback__))
    told.start_time, told.outcome_timestamp, told.idle_for = began, now, slept
    return told
