"""What an executor is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from ..job import Execution, Job


@runtime_checkable
class Running(Protocol):
    """A run that was started."""

    def wait(self) -> Execution:
        """Block until it has ended, was killed or ran out of time.

        When this returns, everything that it started is gone, and its temporary directory is removed. What the code
        does is never an error here. An interrupted wait (Ctrl-C) can be taken up again, or be followed by `kill()`.

        Raises:
            OSError: The system could not run it.
        """
        ...

    def kill(self) -> None:
        """End it now; callable from any thread, any number of times. Whoever waits for it is answered soon."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Runs jobs, several at once."""

    name: str
    """What it is called."""

    def languages(self) -> Mapping[str, str]:
        """Each language that can be run, with the identity of its interpreter's build: its version and its place."""
        ...

    def start(self, job: Job) -> Running:
        """Begin to run *job*.

        Raises:
            UnknownLanguageError: There is no interpreter for its language.
            OSError: The system could not run it: no processes or files are left, or it has no such working directory.
            SandboxClosedError: The executor was closed.
        """
        ...

    def close(self) -> None:
        """Kill all that runs, and start nothing any more."""
        ...
