"""The upstream's process, held by the demo."""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self


class UpstreamDiedError(Exception):
    """The upstream's process is gone, though nobody asked it to go."""


class Upstream:
    """Starts the upstream, tells it how to fare, and ends it: `with Upstream(seed) as upstream: …`."""

    def __init__(self, seed: int) -> None:
        # In a session of its own, so that Ctrl-C at the terminal is for the demo alone to answer.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.demo.upstream", str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.port: int = self._heard()["port"]

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def fare(self, phase: str) -> None:
        """Be healthy, slow or out from now on."""
        self._ask(phase)

    def stats(self) -> dict[str, int]:
        """`requests` so far and the `peak` of requests open at once, as the upstream itself counts them."""
        return self._ask("stats")

    def _ask(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            print(word, file=self._process.stdin, flush=True)
        except OSError as error:
            raise self._died() from error
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _died(self) -> UpstreamDiedError:
        self._process.kill()
        return UpstreamDiedError(f"the upstream's process ended, with exit code {self._process.wait()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was still to be written has no reader any more
                    continue
