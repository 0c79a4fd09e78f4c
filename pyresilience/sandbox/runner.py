"""Running code as one resilient call: cache, single flight, a bulkhead, and what is worth keeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .. import (
    BulkheadConfig,
    CacheConfig,
    EventType,
    Pipeline,
    ResilienceEvent,
    ResilienceListener,
    ResultCache,
    _async,
    _blocking,
)
from .._call import Call
from .._forks import renew_in_child
from .._wiring import Wiring
from ..metrics.cache_metrics import CacheMetrics
from ..stages.base import AsyncHandler, Handler, Stage
from .errors import SandboxClosedError
from .job import Execution, Job
from .result import ExecutionResult

if TYPE_CHECKING:
    from .executors.base import Executor, Running

NAME = "run_code"
"""What a run is called in events and errors."""

TIMED_OUT = 124
"""The exit code of a run whose time was up, as timeout(1) has it."""


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
        """Bytes of its outputs."""
        texts = (self.execution.stdout, self.execution.stderr)
        return sum(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for text in texts)


class KeepSuccesses(Stage):
    """Lets the cache keep successful runs of a bearable size, and no others. It makes itself: there is no setting.

    A request that waited for an identical run as long as it may itself take is answered with a time-out here.

    Args:
        metrics: Where results that are too large are counted.
    """

    def __init__(self, metrics: CacheMetrics) -> None:
        self._metrics = metrics
        self.call_limit = lambda call: float(call.args[0].job.timeout)

    def build(self, wiring: Wiring) -> KeepSuccesses:
        """Itself."""
        return self

    def wrap(self, inner: Handler) -> Handler:
        """Look at what *inner* returns."""

        def judged(call: Call) -> Any:
            ended = _too_late(call) if call.late else inner(call)
            self._judge(call, ended)
            return ended

        return judged

    def wrap_async(self, inner: AsyncHandler) -> AsyncHandler:
        """Look at what *inner* returns."""

        async def judged(call: Call) -> Any:
            ended = _too_late(call) if call.late else await inner(call)
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


class _Refusals:
    """Hands on what only the bulkhead within tells; the rest is told around it."""

    wants = frozenset({EventType.BULKHEAD_REJECTED})

    def __init__(self, listener: ResilienceListener) -> None:
        self._listener = listener

    def __call__(self, event: ResilienceEvent) -> object:
        return self._listener(event)


def _too_late(call: Call) -> Ended:
    """What a request gets that waited for another's run until its own time was up."""
    run: Run = call.args[0]
    run.ran = True
    timeout = run.job.timeout
    execution = Execution(TIMED_OUT, "", "", timeout, timed_out=True)
    return Ended(execution, 0.0, datetime.fromtimestamp(time.time(), UTC), timeout)


class Runner:
    """Runs jobs, identical ones once.

    Args:
        executor: What runs them.
        config: The cache.
        max_concurrent: Runs at once.
        max_wait: Seconds that a run waits for its turn.
        listeners: Who hears the events.
    """

    def __init__(
        self,
        executor: Executor,
        config: CacheConfig,
        *,
        max_concurrent: int,
        max_wait: float,
        listeners: Sequence[ResilienceListener] = (),
    ) -> None:
        self._executor = executor
        self.metrics = CacheMetrics()
        self.cache = ResultCache(replace(config, key=lambda run: run.key), metrics=self.metrics)
        bulkhead = BulkheadConfig(max_concurrent=max_concurrent, max_wait=max_wait)
        refusals = [_Refusals(listener) for listener in listeners]
        guarded = Pipeline(bulkhead, listeners=refusals, name=NAME)
        told = Pipeline(listeners=listeners, name=NAME)
        kept = Pipeline(KeepSuccesses(self.metrics), cache=self.cache, listeners=listeners, name=NAME)
        run, run_async = guarded(self._run()), guarded(self._run_async())
        self._fresh, self._fresh_async = told(run), told(run_async)
        self._cached, self._cached_async = kept(run), kept(run_async)
        self.closed = False
        """Whether nothing is run any more."""
        self._under_way: set[Running] = set()
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """In a forked child nothing runs."""
        self.lock = threading.RLock()
        self._under_way.clear()

    def close(self) -> None:
        """Run nothing any more, and end what runs."""
        self.closed = True
        for running in [*self._under_way]:
            running.kill()
        self.cache.clear()

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
        elsewhere = _blocking.elsewhere

        def run_code(run: Run) -> Ended:
            running = self._start(run)
            try:
                execution = elsewhere(running.wait, running.kill)
            finally:
                self._under_way.discard(running)
            return self._ended(run, execution)

        return run_code

    def _run_async(self) -> Any:
        elsewhere = _async.elsewhere

        async def run_code(run: Run) -> Ended:
            running = self._start(run)
            try:
                execution = await elsewhere(running.wait, running.kill)
            finally:
                self._under_way.discard(running)
            return self._ended(run, execution)

        return run_code

    def _start(self, run: Run) -> Running:
        """Begin, unless it is closed, or is being closed now."""
        run.ran = True
        if self.closed:
            raise SandboxClosedError("the sandbox was killed: create another")
        running = self._executor.start(run.job)
        self._under_way.add(running)
        if self.closed:
            running.kill()
        return running

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
