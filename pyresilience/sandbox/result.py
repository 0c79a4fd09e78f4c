"""What running code gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How a run ended, or how an identical one ended before.

    Args:
        success: Whether the program ended by itself with exit code 0.
        stdout: What it printed.
        stderr: What it complained.
        exit_code: What it returned; 124: its time was up, 128 + n: signal n ended it.
        execution_time: Seconds that the run took: the first one, if the result is cached.
        language: The language of the code.
        timestamp: When the run ended, in UTC.
        cached: Whether the result is that of an identical run.
        age: Seconds since the run ended; 0 for one of its own.
        timed_out: Its time was up; it was killed, and the outputs are what it had printed by then.
        truncated: It printed more than is kept.
    """

    success: bool
    stdout: str
    stderr: str
    exit_code: int
    execution_time: float
    language: str
    timestamp: datetime
    cached: bool = False
    age: float = 0.0
    timed_out: bool = False
    truncated: bool = False
