"""Sandboxes: where code runs, and identical code runs once."""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .. import _async
from .._typing import Duration
from ..cache.config import CacheConfig
from ..events import ResilienceListener
from .cache_view import AsyncCacheView, CacheView
from .environment import checked
from .errors import SandboxClosedError, SandboxWarning, UnknownLanguageError
from .job import Job, Limits
from .key import key_of
from .result import ExecutionResult
from .runner import Runner
from .settings import CACHE, QUEUE, Settings, checked_timeout, settings

if TYPE_CHECKING:
    from .executors.base import Executor


class _Sandbox:
    """What both kinds of sandboxes have."""

    def __init__(self, its: Settings, executor: Executor) -> None:
        self.id = secrets.token_hex(8)
        """A name of its own."""
        self.template = its.template
        """What kind of sandbox it is."""
        self._settings = its
        self._executor = executor
        self._env = its.env
        self._secret = secrets.token_bytes(32)
        self._runner = Runner(
            executor, its.cache, max_concurrent=its.max_concurrent, max_wait=its.max_wait, listeners=its.listeners
        )

    @property
    def env(self) -> dict[str, str]:
        """A copy of its environment variables."""
        return dict(self._env)

    def set_env(self, variables: Mapping[str, str]) -> None:
        """Replace its environment variables.

        Raises:
            TypeError: They are no mapping from text to text.
            ValueError: A process cannot be given them.
        """
        self._env = checked(variables)

    def update_env(self, variables: Mapping[str, str]) -> None:
        """Add to its environment variables, or change some.

        Raises:
            TypeError: They are no mapping from text to text.
            ValueError: A process cannot be given them.
        """
        self._env = {**self._env, **checked(variables)}

    @property
    def languages(self) -> list[str]:
        """The languages that it runs."""
        return sorted(self._executor.languages())

    @property
    def closed(self) -> bool:
        """Whether it was killed."""
        return self._runner.closed

    def _job(
        self,
        code: str,
        language: str,
        env: Mapping[str, str] | None,
        timeout: Duration | None,
        working_dir: str | os.PathLike[str] | None,
    ) -> Job:
        if self.closed:
            raise SandboxClosedError(f"the sandbox {self.id} was killed: create another")
        _check_text("code", code)
        _check_text("language", language)
        if language not in self._executor.languages():
            raise UnknownLanguageError(language, self.languages)
        folder = None if working_dir is None else _folder(working_dir)
        limit = self._settings.timeout if timeout is None else checked_timeout(timeout)
        return Job(code, language, {**self._env, **checked(env)}, folder, limit, self._settings.limits)

    def _key(self, job: Job) -> bytes | None:
        interpreter = self._executor.languages()[job.language]
        return key_of(job, template=self.template, interpreter=interpreter, secret=self._secret)

    def _close(self) -> None:
        self._runner.close()
        if self._settings.executor is None:  # else it is its owner's
            self._executor.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id}, {self.template}, {'closed' if self.closed else 'open'})"


class Sandbox(_Sandbox):
    """Runs code, and reuses the result of an identical run; make one with `create`."""

    @classmethod
    def create(
        cls,
        template: str = "code-interpreter",
        env: Mapping[str, str] | None = None,
        cache: CacheConfig = CACHE,
        timeout: Duration = 120,
        *,
        executor: Executor | None = None,
        limits: Limits | None = None,
        max_concurrent: int | None = None,
        max_wait: Duration = QUEUE,
        listeners: Sequence[ResilienceListener] = (),
    ) -> Self:
        """A new sandbox.

        Args:
            template: What kind: `code-interpreter`, `base` or `python`.
            env: Environment variables of all its runs.
            cache: How many results are kept, and for how long.
            timeout: Seconds that a run may take, unless it says otherwise.
            executor: What runs the code, yours to close; None: bubblewrap where it works, and otherwise a plain
                subprocess.
            limits: What a run may take.
            max_concurrent: Runs at once; None: twice the number of processors.
            max_wait: Seconds that a run waits for its turn.
            listeners: Plain callables that take the events of its runs.

        Raises:
            TypeError: A setting is of the wrong type.
            ValueError: There is no such template, or a setting is out of its range.
        """
        its = settings(template, env, cache, timeout, executor, limits, max_concurrent, max_wait, listeners)
        return cls(its, its.executor or _protective(_chosen()))

    @property
    def cache(self) -> CacheView:
        """Its cache: `stats()` and `clear()`."""
        return CacheView(self._runner)

    def run_code(
        self,
        code: str,
        *,
        language: str = "python",
        env: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        working_dir: str | os.PathLike[str] | None = None,
        use_cache: bool = True,
    ) -> ExecutionResult:
        """Run *code*, or give the result of an identical run.

        Identical are runs of the same code in the same language, by the same build of the interpreter, with the same
        environment and the same files in the working directory.

        Args:
            code: The program.
            language: `python`, `javascript` or `bash`.
            env: Environment variables of this run, over those of the sandbox.
            timeout: Seconds that it may take; None: as the sandbox says.
            working_dir: Where it runs; None: in a fresh directory of its own.
            use_cache: Whether a cached result will do, and this one is kept.

        Raises:
            SandboxClosedError: The sandbox was killed.
            UnknownLanguageError: There is no interpreter for the language.
            BulkheadFullError: Too many runs are under way, and none ended within `max_wait`.
            NotADirectoryError: There is no such working directory.
        """
        job = self._job(code, language, env, timeout, working_dir)
        return self._runner.answer(job, self._key(job) if use_cache else None)

    def kill(self) -> None:
        """End it, and what runs in it; ended already: do nothing."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()


class AsyncSandbox(_Sandbox):
    """`Sandbox` with `await`: for asyncio and trio."""

    @classmethod
    async def create(
        cls,
        template: str = "code-interpreter",
        env: Mapping[str, str] | None = None,
        cache: CacheConfig = CACHE,
        timeout: Duration = 120,  # noqa: ASYNC109 - part of the contract
        *,
        executor: Executor | None = None,
        limits: Limits | None = None,
        max_concurrent: int | None = None,
        max_wait: Duration = QUEUE,
        listeners: Sequence[ResilienceListener] = (),
    ) -> Self:
        """A new sandbox, with the settings of `Sandbox.create`."""
        its = settings(template, env, cache, timeout, executor, limits, max_concurrent, max_wait, listeners)
        return cls(its, its.executor or _protective(await _async.elsewhere(_chosen, _nothing)))

    @property
    def cache(self) -> AsyncCacheView:
        """Its cache: `stats()` and `clear()`."""
        return AsyncCacheView(self._runner)

    async def run_code(
        self,
        code: str,
        *,
        language: str = "python",
        env: Mapping[str, str] | None = None,
        timeout: Duration | None = None,  # noqa: ASYNC109 - part of the contract
        working_dir: str | os.PathLike[str] | None = None,
        use_cache: bool = True,
    ) -> ExecutionResult:
        """Run *code*, or give the result of an identical run; see `Sandbox.run_code`. A cancelled run is killed."""
        job = self._job(code, language, env, timeout, working_dir)
        key = None
        if use_cache:  # many files take long to read
            key = (
                self._key(job) if job.working_dir is None else await _async.elsewhere(lambda: self._key(job), _nothing)
            )
        return await self._runner.answer_async(job, key)

    async def kill(self) -> None:
        """End it, and what runs in it; ended already: do nothing."""
        await _async.elsewhere(self._close, _nothing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.kill()


def _chosen() -> Executor:
    from .executors.choose import choose

    return choose()


_warned: list[bool] = []


def _protective(executor: Executor) -> Executor:
    """*executor*; if it protects little, that is said once."""
    if executor.name == "subprocess" and not _warned:
        _warned.append(True)
        warnings.warn(
            "code runs in a plain subprocess, which is for trusted code: it sees the files and the network of this "
            "machine; install bubblewrap (apt-get install bubblewrap), which then is taken",
            SandboxWarning,
            stacklevel=3,
        )
    return executor


def _nothing() -> None:
    """What is to be done where nothing can be stopped."""


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} holds a lone surrogate at {error.start}, which UTF-8 cannot write") from None


def _folder(working_dir: str | os.PathLike[str]) -> Path:
    """The directory to run in.

    Raises:
        TypeError: It is no path.
        NotADirectoryError: There is no such directory.
    """
    if not isinstance(working_dir, (str, os.PathLike)):
        raise TypeError(f"working_dir must be a path, got {type(working_dir).__name__}")
    name = os.fspath(working_dir)
    if not name or "\0" in name or not Path(name).is_dir():
        raise NotADirectoryError(f"working_dir must be a directory, got {name!r}")
    return Path(name).resolve()
