"""The worker processes, from outside: one per home, started when first needed."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .contest import Home
from .namesake import FOLDER, ROOT

PATIENCE = 60.0
"""Seconds without an answer after which a worker is taken for hung."""

_START = "import sys; sys.path.append(sys.argv[2]); from benchmarks.worker import main; main()"
"""Our checkout comes last on the path, so that the installed package is measured, or the namesake where that is meant."""


class SampleError(Exception):
    """There is no sample, and this is why."""


class Crew:
    """Takes a sample in the right process, in a fresh one where the last has died.

    Args:
        missing: Why the namesake cannot take part; None: it can.
    """

    def __init__(self, missing: str | None = None) -> None:
        self._missing = missing
        self._workers: dict[Home, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for home in list(self._workers):
            self._dismiss(home)

    def sample(self, home: Home, row: str, contestant: str, seconds: float) -> float:
        """One value.

        Raises:
            SampleError: The contestant failed, took its process down, or did not answer.
        """
        if home == "namesake" and self._missing:
            raise SampleError(self._missing)
        worker = self._workers.get(home) or self._hire(home)
        reply = self._ask(home, worker, {"row": row, "contestant": contestant, "seconds": seconds})
        if "failed" in reply:
            raise SampleError(reply["failed"])
        return float(reply["value"])

    def _hire(self, home: Home) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if home == "namesake":
            environment["PYTHONPATH"] = str(FOLDER)
        worker = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, home, str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._workers[home] = worker
        seen = self._ask(home, worker, None).get("folder")
        if seen is not None and (FOLDER in Path(seen).parents) is not (home == "namesake"):
            self._dismiss(home)
            raise SampleError(f"the process for {home} sees the package in {seen}")
        return worker

    def _ask(self, home: Home, worker: subprocess.Popen[str], request: dict[str, Any] | None) -> dict[str, Any]:
        """The next line of *worker*, after *request* if there is one."""
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            if request is not None:
                worker.stdin.write(json.dumps(request) + "\n")
                worker.stdin.flush()
            if not select.select([worker.stdout], [], [], PATIENCE)[0]:
                raise TimeoutError
            line = worker.stdout.readline()
        except BrokenPipeError:
            line = ""
        except TimeoutError:
            self._dismiss(home)
            raise SampleError(f"no answer within {PATIENCE:g} s") from None
        if not line:
            self._dismiss(home)
            raise SampleError(f"its process died (exit code {worker.returncode})")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _dismiss(self, home: Home) -> None:
        worker = self._workers.pop(home)
        worker.kill()
        worker.wait()
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                pipe.close()
