"""A call that fails twice and then succeeds, without a pause between."""

from __future__ import annotations

from ..contest import Group, Row, Wrap, entrants
from ..policies import AGAIN_AT_ONCE
from ..subjects import flaky, flaky_async
from ..timing import Timed, timed, timed_async


def _called(wrap: Wrap) -> Timed:
    return timed("f(1)", f=wrap(flaky()))


def _awaited(wrap: Wrap) -> Timed:
    return timed_async("f(1)", f=wrap(flaky_async()))


GROUP = Group(
    "Two failures, then success",
    "Time per call, which is three attempts with no pause between them; nobody listens.",
    (
        Row("retry twice, sync", "seconds", entrants(AGAIN_AT_ONCE, _called)),
        Row("retry twice, async", "seconds", entrants(AGAIN_AT_ONCE, _awaited)),
    ),
)
