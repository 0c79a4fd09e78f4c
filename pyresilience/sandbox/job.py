"""One run: what is to be run, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .._settings import require

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may take.

    Args:
        cpu_seconds: Seconds of processor time, per process.
        memory_bytes: Bytes of address space, per process.
        file_bytes: Bytes of the largest file it may write.
        processes: Processes and threads at once.
        output_bytes: Bytes of each of its two outputs that are kept; the rest is cut, and a last line says so.
        result_bytes: Bytes of the largest result that is cached.
    """

    cpu_seconds: float = 60.0
    memory_bytes: int = 2048 * MEBIBYTE
    file_bytes: int = 64 * MEBIBYTE
    processes: int = 64
    output_bytes: int = MEBIBYTE
    result_bytes: int = MEBIBYTE

    def __post_init__(self) -> None:
        require(self, "cpu_seconds", above=0)
        for name in ("memory_bytes", "file_bytes", "processes", "output_bytes", "result_bytes"):
            require(self, name, whole=True, at_least=1)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run.

    Args:
        code: The program.
        language: `python`, `javascript` or `bash`.
        env: The variables that it sees, beside those that every program needs (PATH, HOME, TMPDIR, LANG).
        working_dir: Where it runs; None: in a fresh directory of its own, removed afterwards.
        timeout: Seconds that it may take.
        limits: What else it may take.
    """

    code: str
    language: str
    env: Mapping[str, str] = field(repr=False)
    working_dir: Path | None
    timeout: float
    limits: Limits


@dataclass(frozen=True, slots=True)
class Execution:
    """How a run ended.

    Args:
        exit_code: What it returned; 124: its time was up, 128 + n: signal n ended it, as shells say.
        stdout: What it printed.
        stderr: What it complained.
        seconds: How long it took.
        timed_out: Its time was up.
        truncated: It printed more than is kept.
    """

    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    truncated: bool = False

    @property
    def success(self) -> bool:
        """Whether it ended by itself, and well."""
        return self.exit_code == 0 and not self.timed_out
