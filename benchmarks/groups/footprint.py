"""What it costs to have it: memory per entry, time to decorate, time to import."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from time import perf_counter

from ..caches import CACHEBOX, CACHETOOLS, CACHETOOLS_BY_HAND, FUNCTOOLS, RESILIENT
from ..contest import NAMESAKE, OURS, Contestant, Group, Row, Sample, Wrap, entrants, ours_and_namesake
from ..policies import STAGES, resilient_with
from ..subjects import nothing, one
from ..timing import Timed, timed

MEMORY = "memory per entry"
DECORATING = "decorating a function, cache"
DECORATING_ALL = "decorating a function, cache and six stages"
IMPORTING = "import, the statement"
STARTING = "import, the whole process"

_ENTRIES = 10_000


def _bytes_per_entry(wrap: Wrap) -> Sample:
    keys = [100_000 + number for number in range(_ENTRIES)]

    def weigh(_: float) -> float:
        """Allocated from before the decoration until the cache is full; keys and values are there before."""
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            function = wrap(nothing, _ENTRIES)
            for key in keys:
                function(key)
            gc.collect()
            return (tracemalloc.get_traced_memory()[0] - before) / _ENTRIES
        finally:
            tracemalloc.stop()

    return weigh


def _decorating(wrap: Wrap) -> Timed:
    return timed("decorate(function)", copies=1, decorate=wrap, function=one)


def _importing(module: str) -> Sample:
    code = f"import time; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"

    def time_import(_: float) -> float:
        """What the import statement takes in a fresh process."""
        done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
        return float(done.stdout)

    time_import(0.0)  # so that it is compiled
    return time_import


def _starting(module: str) -> Sample:
    def compare(_: float) -> float:
        """A fresh process that imports *module*, its end included, less one that does nothing."""
        return _process(f"import {module}") - _process("pass")

    _process(f"import {module}")  # so that it is compiled
    return compare


def _process(code: str) -> float:
    began = perf_counter()
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
    return perf_counter() - began


def _import_row(name: str, measure: Callable[[str], Sample]) -> Row:
    contestants = (
        Contestant(OURS, partial(measure, "pyresilience"), "ours"),
        Contestant(NAMESAKE, partial(measure, "pyresilience"), "namesake"),
        Contestant("asyncio", partial(measure, "asyncio")),
        Contestant("tenacity", partial(measure, "tenacity")),
    )
    return Row(name, "seconds", contestants, rounds=5)


GROUP = Group(
    "Footprint",
    "Memory: 10 000 entries with int keys and None values, as tracemalloc sees it (not cachebox, which allocates "
    "outside Python). Import: the import statement in a fresh process, and the whole of such a process less one that "
    "imports nothing; asyncio is there to compare.",
    (
        Row(
            MEMORY,
            "bytes",
            entrants((FUNCTOOLS, *RESILIENT, CACHETOOLS_BY_HAND, CACHETOOLS), _bytes_per_entry),
            rounds=1,
        ),
        Row(DECORATING, "seconds", entrants((FUNCTOOLS, *RESILIENT, CACHETOOLS, CACHEBOX), _decorating)),
        Row(
            DECORATING_ALL,
            "seconds",
            entrants(ours_and_namesake(resilient_with(*STAGES, cache=True)), _decorating),
        ),
        _import_row(IMPORTING, _importing),
        _import_row(STARTING, _starting),
    ),
)
