"""Each stage alone, on the happy path: nothing fails, nobody waits, nobody listens."""

from __future__ import annotations

from ..caches import FORWARDING, PLAIN
from ..contest import Group, Row, Wrap, entrants, ours_and_namesake
from ..policies import ELSEWHERE, ELSEWHERE_ASYNC, STAGES, resilient_with
from ..subjects import one, one_async
from ..timing import Timed, timed, timed_async


def called(wrap: Wrap) -> Timed:
    """Time a plain call."""
    return timed("f(1)", f=wrap(one))


def awaited(wrap: Wrap) -> Timed:
    """Time an awaited call."""
    return timed_async("f(1)", f=wrap(one_async))


def _row(stage: str) -> Row:
    libraries = (PLAIN, FORWARDING, *ours_and_namesake(resilient_with(stage)), *ELSEWHERE.get(stage, ()))
    return Row(f"{_words(stage)}, sync", "seconds", entrants(libraries, called), threaded=stage == "timeout")


def _async_row(stage: str) -> Row:
    libraries = (PLAIN, *ours_and_namesake(resilient_with(stage)), *ELSEWHERE_ASYNC.get(stage, ()))
    return Row(f"{_words(stage)}, async", "seconds", entrants(libraries, awaited))


def _words(stage: str) -> str:
    return stage.replace("_", " ")


SYNC = Group(
    "One stage, happy path",
    "A sync timeout runs the function on another thread: handing it over and back is the price.",
    tuple(map(_row, STAGES)),
)

ASYNC = Group(
    "One stage, happy path, awaited",
    "Time per `await` inside one running coroutine under asyncio.",
    tuple(map(_async_row, STAGES)),
)
