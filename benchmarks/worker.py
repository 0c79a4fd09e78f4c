"""The process that contestants run in: it reads one request per line and answers each with one line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from .contest import Home, Row, Sample
from .groups import ROWS

_CORES: set[int] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


class Worker:
    """Takes samples; holds the contestants of one row at a time."""

    def __init__(self) -> None:
        self._row: Row | None = None
        self._ready: dict[str, Sample] = {}

    def answer(self, row: str, contestant: str, seconds: float) -> dict[str, Any]:
        """One sample, or why there is none."""
        try:
            if ROWS[row] is not self._row:
                self._row, self._ready = ROWS[row], {}
                _settle(self._row)
            if contestant not in self._ready:
                make = next(each.make for each in self._row.contestants if each.name == contestant)
                self._ready[contestant] = make()
            return {"value": self._ready[contestant](seconds)}
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}"}


def _settle(row: Row) -> None:
    """Stay on one core, where the system lets us: all processes on the same one, as only one works at a time."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _CORES if row.threaded else {max(_CORES)})


def introduce(home: Home) -> dict[str, Any]:
    """Which package of our name this process sees."""
    if home == "others":
        return {}
    import pyresilience

    return {"folder": str(Path(pyresilience.__file__).parent)}


def main() -> None:
    """Answer until there are no more requests."""
    replies = _own_pipe()
    _say(replies, introduce(sys.argv[1]))  # type: ignore[arg-type]
    worker = Worker()
    for line in sys.stdin:
        _say(replies, worker.answer(**json.loads(line)))


def _own_pipe() -> TextIO:
    """The pipe to whoever started us; what contestants print goes to standard error instead."""
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return pipe


def _say(pipe: TextIO, reply: dict[str, Any]) -> None:
    pipe.write(json.dumps(reply) + "\n")
    pipe.flush()
