"""What the executors of this machine share: each run has a supervisor, and all end with their executor."""

from __future__ import annotations

import errno
import os
import resource
import secrets
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..._forks import renew_in_child
from ..errors import SandboxClosedError, SandboxError
from ..job import Job
from ..languages import Interpreter, interpreter, interpreters
from .launch.orders import Orders
from .runs import Run
from .users import unused_user

OPEN_FILES = 1024
"""Files that a run may have open."""
LONGEST_VARIABLE = 128 * 1024
"""Bytes that Linux takes for one variable."""
FOREVER = 10 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run takes place on this machine.

    Args:
        directory: Its own directory: it holds the code, and is removed afterwards.
        file: The code in it.
        user: The user id that the run has for itself, if it has one.
    """

    directory: str
    file: str
    user: int | None


class SupervisedExecutor(ABC):
    """Runs jobs under supervisors, in a way that derived classes say."""

    name: str

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._runs: set[Run] = set()
        self._closed = False
        renew_in_child(self)

    @abstractmethod
    def _orders(self, job: Job, interpreter: Interpreter, place: Place) -> Orders:
        """What the supervisor is to do for *job*."""

    def languages(self) -> Mapping[str, str]:
        """Each language that can be run, with the identity of its interpreter's build; see `Executor`."""
        return {language: each.identity for language, each in interpreters().items()}

    def start(self, job: Job) -> Run:
        """Begin to run *job*; see `Executor`."""
        self._require_open()
        found = interpreter(job.language)
        if job.working_dir is not None and not Path(job.working_dir).is_dir():
            text = f"the working directory is no directory of this machine; make it first: {job.working_dir}"
            raise NotADirectoryError(errno.ENOTDIR, text)
        for name, value in job.env.items():
            _check(name, value)
        directory = f"{tempfile.gettempdir()}/pyresilience-{secrets.token_hex(8)}"
        place = Place(directory, f"{directory}/main{found.suffix}", unused_user())
        run = Run(self._orders(job, found, place), job.limits.output_bytes, self._forget)
        with self._lock:
            self._runs.add(run)
        if self._closed:  # in this moment
            run.kill()
            self._require_open()
        return run

    def close(self) -> None:
        """Kill all that runs, and start nothing any more; see `Executor`."""
        self._closed = True
        with self._lock:
            runs = list(self._runs)
        for each in runs:
            each.kill()
        for each in runs:
            try:
                each.wait()
            except OSError:  # whoever waits for it hears of it
                pass

    def renew(self) -> None:
        """In a forked child nothing runs: those are the parent's runs."""
        self._lock = threading.RLock()
        runs, self._runs = self._runs, set()
        for each in runs:
            each.let_go()

    def _forget(self, run: Run) -> None:
        with self._lock:
            self._runs.discard(run)

    def _require_open(self) -> None:
        if self._closed:
            raise SandboxClosedError(f"the {self.name} executor was closed; make another one")


def orders_for(job: Job, interpreter: Interpreter, place: Place, command: list[str]) -> Orders:
    """Orders to run *command*; what differs from one executor to the other is still to be said in them."""
    return Orders(
        parent=os.getpid(),
        directory=place.directory,
        directories=[],
        file=place.file,
        code=job.code.encode("utf-8", "surrogatepass"),
        command=command,
        environment={},
        working_directory="/",
        stdin=place.file if interpreter.reads_stdin else os.devnull,
        told=None,
        limits=_limits(job, interpreter),
        timeout=min(max(job.timeout, 0.0), FOREVER),
        separate=False,
        user=place.user,
        become=False,
        shared=None if job.working_dir is None else str(Path(job.working_dir).absolute()),
        capabilities=0,
    )


def _limits(job: Job, interpreter: Interpreter) -> list[tuple[int, int]]:
    """The limits of *job*, as `setrlimit` takes them; memory comes last, so that setting the others has enough."""
    limits = job.limits
    return [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, max(1, -int(-limits.cpu_seconds // 1))),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_DATA if interpreter.reserves else resource.RLIMIT_AS, limits.memory_bytes),
    ]


def _check(name: str, value: str) -> None:
    """Refuse a variable that no process can be given."""
    if not name or "=" in name or "\0" in name or "\0" in value:
        raise SandboxError(
            f"a variable's name must not be empty nor hold '=', and neither it nor its value NUL: {name!r}"
        )
    if (length := len(os.fsencode(name)) + len(os.fsencode(value)) + 2) > LONGEST_VARIABLE:
        raise SandboxError(f"the variable {name!r} takes {length} bytes, and a process gets at most {LONGEST_VARIABLE}")
