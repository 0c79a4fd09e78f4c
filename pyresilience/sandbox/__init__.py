"""Run code, reuse the result of an identical run, and see how the cache does."""

from .errors import SandboxClosedError, SandboxError, SandboxWarning, UnknownLanguageError
from .job import Execution, Job, Limits
from .result import ExecutionResult
from .sandbox import AsyncSandbox, Sandbox

__all__ = [
    "AsyncSandbox",
    "Execution",
    "ExecutionResult",
    "Job",
    "Limits",
    "Sandbox",
    "SandboxClosedError",
    "SandboxError",
    "SandboxWarning",
    "UnknownLanguageError",
]
