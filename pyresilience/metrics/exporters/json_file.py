"""A file that the metrics are kept in, so that counting goes on where the process before this one was."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..._log import log
from ..._typing import Duration
from ..cache_metrics import CacheMetrics
from ..snapshot import MetricSnapshot
from ..state import State, add_up
from .claim import Claim
from .periodic import PeriodicExporter
from .restored import restored
from .state_file import load, save, set_aside

_PID = "{pid}"


class JsonFileExporter(PeriodicExporter):
    """Keeps the metrics in a file of JSON, and gives functions what it says of them when the program starts anew.

    The counts of caches and runs are restored; windows begin empty, and what a cache holds is what is there now. Each
    function gets its earlier counts once in a process, whether it is registered before or after the start. What
    the file says of functions that are not registered stays in it.

    One process at a time writes a file: another that is given the same path says so in the log, leaves the file alone,
    and takes over when the first one ends. Put `{pid}` into the path to give each process its own, and read them
    together with `read()`. A file that cannot be used is kept as `<name>.corrupt`, and counting begins anew.

    Args:
        path: The file, in a directory that exists; `{pid}` stands for the number of the process.
        interval: Seconds between two writings.
        restore: Whether to restore what the file says; False: it is overwritten.

    Raises:
        TypeError: A setting is of another type.
        ValueError: *path* is empty or a directory, or *interval* out of its bounds.
    """

    def __init__(self, path: str | os.PathLike[str], interval: Duration = 30.0, restore: bool = True) -> None:
        self._pattern = _pattern(path)
        if not isinstance(restore, bool):
            raise TypeError(f"restore must be True or False, got {restore!r}")
        if self.path.is_dir():
            raise ValueError(f"path must be a file, got the directory {str(path)!r}: put a name to it")
        self._wants_restoring = restore
        self._claim = Claim()
        super().__init__(interval, "json-file")

    def renew(self) -> None:
        """In a forked child the file is its parent's."""
        super().renew()
        self._claim.abandon()
        self._file: Path | None = None
        self._earlier: dict[str, State] = {}

    @property
    def path(self) -> Path:
        """The file that this process writes."""
        return Path(self._pattern.replace(_PID, str(os.getpid())))

    @staticmethod
    def read(path: str | os.PathLike[str]) -> list[State]:
        """What files say: one state per function, sorted by its label; files of several processes are added up.

        `MetricSnapshot.merge(*(state.cache for state in states if state.cache))` is the sum of all caches. Entries
        and bytes are those when a file was written, whether its process still lives or not.

        Args:
            path: A file; with `{pid}` in it, those of all processes.

        Raises:
            OSError: There is no such file, or it cannot be read.
            ValueError: It is no file of metrics, or of a later version.
        """
        pattern = _pattern(path)
        paths = sorted(glob.glob(glob.escape(pattern).replace(_PID, "[0-9]*"))) or [pattern]  # noqa: PTH207 - any path
        states: list[State] = []
        for each in paths:
            try:
                states += load(Path(each))
            except ValueError as error:
                raise ValueError(f"{each}: {error}") from error
        return add_up(states)

    def register_function(self, func: Callable[..., Any]) -> None:
        """Keep the metrics of *func* from now on, and give it what the file says of it.

        Raises:
            ValueError: It has none: it was not decorated with `enable_metrics=True`.
        """
        super().register_function(func)
        with self._turn:
            self._restore()

    def export_metrics(self, func_name: str, metrics: CacheMetrics | MetricSnapshot) -> None:
        """Keep *metrics* under *func_name*; a `CacheMetrics` gets what the file says of it.

        Raises:
            TypeError: It is neither metrics nor a snapshot.
        """
        super().export_metrics(func_name, metrics)
        with self._turn:
            self._restore()

    def start(self) -> None:
        """Restore what the file says, and begin to write it; begun already: do nothing."""
        with self._turn:
            try:
                self._open()
            except Exception as error:  # noqa: BLE001 - the program must come up all the same; it is logged
                self._complain(error)
        super().start()

    def stop(self) -> None:
        """Write the file once more, and leave it to others; ended already: do nothing."""
        super().stop()
        with self._turn:
            self._claim.drop()
            self._file = None

    def _export(self) -> None:
        file = self._open()
        states = self.states()
        labels = {state.function for state in states}
        save(file, add_up([*states, *(each for label, each in self._earlier.items() if label not in labels)]))

    def _open(self) -> Path:
        """Claim the file and read it, if that has not been done."""
        if self._file is None:
            file = Path(os.path.realpath(self.path))
            self._claim.take(file)
            self._earlier = {state.function: _past(state) for state in _load(file)}
            if not self._wants_restoring:
                self._earlier.clear()
            self._file = file
            self._restore()
        return self._file

    def _restore(self) -> None:
        """Give what has been registered its earlier counts."""
        if self._file is None:
            return
        with self._lock:
            subjects, given = list(self._subjects.values()), dict(self._given)
        for subject in subjects:
            restored.settle(subject, self._earlier.pop(subject.label, None))
        for name, metrics in given.items():
            earlier = self._earlier.pop(name, None)
            if isinstance(metrics, CacheMetrics):
                restored.settle_cache(metrics, earlier)


def _load(file: Path) -> list[State]:
    """What *file* says; if it cannot be used, it is set aside."""
    try:
        return load(file)
    except FileNotFoundError:
        return []
    except (PermissionError, ValueError) as error:
        aside = set_aside(file)
        log().warning(
            "%s cannot be used: it is kept as %s, and counting begins anew; to go on from a good one, stop, put that "
            "there, and start again. %s",
            file,
            aside.name,
            error,
        )
        return []


def _past(state: State) -> State:
    """What of *state* outlives its process: its counts."""
    cache = state.cache and replace(state.cache, entry_count=0, total_size_bytes=0, max_entries=None)
    return State(state.function, cache=cache, runs=state.runs)


def _pattern(path: str | os.PathLike[str]) -> str:
    try:
        pattern = os.fspath(path)
    except TypeError:
        pattern = None
    if not isinstance(pattern, str):
        raise TypeError(f"path must be text or a pathlib.Path, got {path!r}")
    if not pattern.strip() or "\0" in pattern:
        raise ValueError(f"path must name a file, got {pattern!r}")
    return pattern
