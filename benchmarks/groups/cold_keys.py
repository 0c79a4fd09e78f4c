"""Many callers ask for one key at once, and it is not there: how often does the function run?"""

from __future__ import annotations

import asyncio
import time
from threading import Barrier, Thread

from ..caches import ASYNC_LRU, CACHEBOX, CACHETOOLS_WAITING, FUNCTOOLS, RESILIENT
from ..contest import Group, Row, Sample, Wrap, entrants

THREADS = "64 threads on one cold key"
COROUTINES = "1000 coroutines on one cold key"

_THREADS, _COROUTINES = 64, 1000
_WORK = 0.05
"""Seconds that the function takes: every caller has come before it ends."""


def _from_threads(wrap: Wrap) -> Sample:
    def runs(_: float) -> float:
        run: list[int] = []
        answers: list[int] = []
        ready = Barrier(_THREADS)

        def slow(key: int) -> int:
            run.append(key)
            time.sleep(_WORK)
            return key

        function = wrap(slow)

        def ask() -> None:
            ready.wait()
            answers.append(function(7))

        threads = [Thread(target=ask) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if answers != [7] * _THREADS:
            raise RuntimeError(f"{len(answers)} of {_THREADS} callers were answered")
        return len(run)

    return runs


def _from_coroutines(wrap: Wrap) -> Sample:
    def runs(_: float) -> float:
        run: list[int] = []

        async def slow(key: int) -> int:
            run.append(key)
            await asyncio.sleep(_WORK)
            return key

        async def ask() -> None:
            function = wrap(slow)
            answers = await asyncio.gather(*(function(7) for _ in range(_COROUTINES)))
            if answers != [7] * _COROUTINES:
                raise RuntimeError("wrong answers")

        asyncio.run(ask())
        return len(run)

    return runs


GROUP = Group(
    "One cold key",
    "Runs of the function, the worst of all rounds. It takes 50 ms; 1 is what single flight promises.",
    (
        Row(
            THREADS,
            "runs",
            entrants((FUNCTOOLS, *RESILIENT, CACHETOOLS_WAITING, CACHEBOX), _from_threads),
            rounds=3,
            worst=True,
            threaded=True,
        ),
        Row(
            COROUTINES,
            "runs",
            entrants((*RESILIENT, ASYNC_LRU, CACHEBOX), _from_coroutines),
            rounds=3,
            worst=True,
        ),
    ),
)
