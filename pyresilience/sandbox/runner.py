"""Running code as one resilient call: cache, single flight, a bulkhead, and what is worth keeping."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .. import _async, _blocking
from .._call import Call
from .._wiring import Wiring
from ..cache.config import CacheConfig
from ..cache.result_cache import ResultCache
from ..metrics.cache_metrics import CacheMetrics
from ..pipeline import Pipeline
from ..stages.base import AsyncHandler, Handler, Stage
from ..stages.bulkhead import BulkheadConfig
from .job import Execution, Job
from .result import ExecutionResult

if TYPE_CHECKING:
    from .executors.base import Executor


class Run:
    """One request to run a job.

    Args:
        job: What is to be run.
        key: What makes it identical to others.
    """

    __slots__ = ("job", "key", "ran")

    def __init__(self, job: Job, key: bytes) -> None:
        self.job = job
        self.key = key
        self.ran = False
        """Whether it was run for this request."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended.

    Args:
        execution: How.
        at: When, on the cache's clock.
        timestamp: When, in UTC.
        timeout: Seconds that it had.
    """

    execution: Execution
    at: float
    timestamp: datetime
    timeout: float

    @property
    def size(self) -> int:
        """Characters of its outputs."""
        return len(self.execution.stdout) + len(self.execution.stderr)


class KeepSuccesses(Stage):
    """Lets the cache keep successful runs of a bearable size, and no others. It makes itself: there is no setting.

    Args:
        metrics: Where results that are too large are counted.
    """

    def __init__(self, metrics: CacheMetrics) -> None:
        self._metrics = metrics

    def build(self, wiring: Wiring) -> KeepSuccesses:
        """Itself."""
        return self

    def wrap(self, inner: Handler) -> Handler:
        """Look at what *inner* returns."""

        def judged(call: Call) -> Any:
            ended = inner(call)
            self._judge(call, ended)
            return ended

        return judged

    def wrap_async(self, inner: AsyncHandler) -> AsyncHandler:
        """Look at what *inner* returns."""

        async def judged(call: Call) -> Any:
            ended = await inner(call)
            self._judge(call, ended)
            return ended

        return judged

    def _judge(self, call: Call, ended: Ended) -> None:
        run: Run = call.args[0]
        if not ended.execution.success:
            call.storable = False
        elif ended.size > run.job.limits.result_bytes:
            call.storable = False
            self._metrics.record_size_limit_rejection()


class Runner:
    """Runs jobs, identical ones once.

    Args:
        executor: What runs them.
        config: The cache.
        max_concurrent: Runs at once.
        max_wait: Seconds that a run waits for its turn.
    """

    def __init__(self, executor: Executor, config: CacheConfig, *, max_concurrent: int, max_wait: float) -> None:
        self._executor = executor
        self.metrics = CacheMetrics(config.metrics_sampling_rate)
        self.cache = ResultCache(replace(config, key=lambda run: run.key), metrics=self.metrics)
        guarded = Pipeline(BulkheadConfig(max_concurrent=max_concurrent, max_wait=max_wait), name="run_code")
        kept = Pipeline(KeepSuccesses(self.metrics), cache=self.cache, name="run_code")
        self._fresh, self._fresh_async = guarded(self._run()), guarded(self._run_async())
        self._cached, self._cached_async = kept(self._fresh), kept(self._fresh_async)

    def answer(self, job: Job, key: bytes | None) -> ExecutionResult:
        """How *job* ended, or an identical one before; without a *key* it is run."""
        while True:
            run = Run(job, key or b"")
            ended = self._fresh(run) if key is None else self._cached(run)
            if self._answers(run, ended):
                return self._result(run, ended)

    async def answer_async(self, job: Job, key: bytes | None) -> ExecutionResult:
        """How *job* ended, or an identical one before; without a *key* it is run."""
        while True:
            run = Run(job, key or b"")
            ended = await self._fresh_async(run) if key is None else await self._cached_async(run)
            if self._answers(run, ended):
                return self._result(run, ended)

    def _run(self) -> Any:
        executor, elsewhere = self._executor, _blocking.elsewhere

        def run_code(run: Run) -> Ended:
            run.ran = True
            running = executor.start(run.job)
            execution = elsewhere(running.wait, running.kill)
            return self._ended(run, execution)

        return run_code

    def _run_async(self) -> Any:
        executor, elsewhere = self._executor, _async.elsewhere

        async def run_code(run: Run) -> Ended:
            run.ran = True
            running = executor.start(run.job)
            execution = await elsewhere(running.wait, running.kill)
            return self._ended(run, execution)

        return run_code

    def _ended(self, run: Run, execution: Execution) -> Ended:
        return Ended(execution, self.cache.now(), datetime.fromtimestamp(time.time(), UTC), run.job.timeout)

    def _answers(self, run: Run, ended: Ended) -> bool:
        """Whether *ended* answers this request: one that may take longer is not answered by another's time-out."""
        return run.ran or not ended.execution.timed_out or run.job.timeout <= ended.timeout

    def _result(self, run: Run, ended: Ended) -> ExecutionResult:
        execution = ended.execution
        return ExecutionResult(
            success=execution.success,
            stdout=execution.stdout,
            stderr=execution.stderr,
            exit_code=execution.exit_code,
            execution_time=execution.seconds,
            language=run.job.language,
            timestamp=ended.timestamp,
            cached=not run.ran,
            age=0.0 if run.ran else max(0.0, self.cache.now() - ended.at),
            timed_out=execution.timed_out,
            truncated=execution.truncated,
        )
