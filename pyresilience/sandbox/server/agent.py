"""The agent of one sandbox: what its clients may ask of it."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from ... import _async
from ..._go_duration import go_duration
from ..._log import log
from ..._outcome import Expired
from ...clock import Clock
from ...errors import BulkheadFullError
from ...http.messages import NO_STORE, NOSNIFF, Answer, json_answer
from ..errors import SandboxClosedError, UnknownLanguageError
from ..result import ExecutionResult
from ..sandbox import AsyncSandbox
from .bodies import Gone
from .fields import check_size, flag, json_object, number, text, variables
from .places import NoPlaceError, Places
from .refusals import invalid, not_found, timed_out, too_many, unavailable
from .requests import Methods, Request
from .workdirs import WORKSPACE, check_workdir

AGENT = "pyresilience-sandbox"
"""What the agent calls itself."""


class Agent:
    """Answers for one sandbox.

    Args:
        sandbox: Where the code runs.
        places: Those of the server.
        executor: The name of what runs the code.
        clock: Where the time since its start is read.
    """

    def __init__(self, sandbox: AsyncSandbox, places: Places, executor: str, clock: Clock) -> None:
        self._sandbox = sandbox
        self._places = places
        self._executor = executor
        self._clock = clock
        self._since = clock.monotonic()
        self._routes: dict[str, Methods] = {
            "/health": {"GET": self._health},
            "/execute": {"POST": self._execute},
            "/cache/stats": {"GET": self._stats},
            "/cache/clear": {"POST": self._clear},
            "/env": {"GET": self._env, "PUT": self._set_env, "PATCH": self._update_env},
        }

    def methods(self, path: str) -> Methods:
        """What answers at *path*.

        Raises:
            Refused: 404, nothing does.
        """
        try:
            return self._routes[path]
        except KeyError:
            raise not_found(f"there is nothing at this path: an agent has {', '.join(self._routes)}") from None

    async def _health(self, request: Request) -> Answer:
        uptime = int(self._clock.monotonic() - self._since)
        content = {"status": "healthy", "agent": AGENT, "version": _version(), "uptime": go_duration(uptime)}
        return json_answer({**content, "executor": self._executor, "languages": self._sandbox.languages})

    async def _execute(self, request: Request) -> Answer:
        fields = json_object(request.body)
        check_workdir(text(fields, "workdir", WORKSPACE))
        wanted = {
            "language": text(fields, "language", "python"),
            "timeout": number(fields, "timeout"),
            "env": variables(fields, "env"),
            "use_cache": flag(fields, "use_cache", default=True),
        }
        result = await self._run(request, text(fields, "code"), wanted)
        if result.timed_out:
            raise timed_out(f"the code was killed after {result.execution_time:.3g} s, its time", _shown(result))
        return json_answer(_shown(result))

    async def _run(self, request: Request, code: str, wanted: Mapping[str, Any]) -> ExecutionResult:
        """Run *code*, unless the client goes away before it has ended.

        Raises:
            Refused: It cannot be run.
            Gone: Nobody waits for it any more.
        """
        try:
            with self._places.request():
                result: ExecutionResult = await _async.unless(
                    request.gone, lambda: self._sandbox.run_code(code, **wanted)
                )
        except Expired:
            raise Gone from None
        except UnknownLanguageError as error:
            raise invalid(str(error), "language", languages=self._sandbox.languages) from None
        except (NoPlaceError, BulkheadFullError) as error:
            raise too_many(f"{error}: try again", running=self._places.running) from None
        except SandboxClosedError:
            raise self._ended() from None
        except OSError as error:
            raise _cannot_start(error) from error
        if self._sandbox.closed:  # whatever became of the run was the end of the sandbox, not of the code
            raise self._ended()
        return result

    def _ended(self) -> Exception:
        return not_found(f"the sandbox {self._sandbox.id} has ended: create another")

    async def _stats(self, request: Request) -> Answer:
        return json_answer(await self._sandbox.cache.stats())

    async def _clear(self, request: Request) -> Answer:
        return json_answer(await self._sandbox.cache.clear())

    async def _env(self, request: Request) -> Answer:
        return json_answer({"env_vars": self._sandbox.env})

    async def _set_env(self, request: Request) -> Answer:
        self._sandbox.set_env(variables(json_object(request.body), "env_vars", required=True))
        return NO_CONTENT

    async def _update_env(self, request: Request) -> Answer:
        added = variables(json_object(request.body), "env_vars", required=True)
        check_size({**self._sandbox.env, **added}, "env_vars, with those that are there already,")
        self._sandbox.update_env(added)
        return NO_CONTENT


NO_CONTENT = Answer(204, (NO_STORE, NOSNIFF))
"""It was done, and there is nothing to say."""


def _shown(result: ExecutionResult) -> dict[str, Any]:
    """The documented fields first, then further ones."""
    return {
        "success": result.success,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "exit_code": result.exit_code,
        "execution_time": result.execution_time,
        "timestamp": result.timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "language": result.language,
        "cached": result.cached,
        "age": result.age,
        "truncated": result.truncated,
    }


def _cannot_start(error: OSError) -> Exception:
    """What an error of the system, when code was to be started, is refused with."""
    if error.errno == errno.E2BIG:
        return invalid("the environment is too large: no process can be given it", "env")
    log().error("code could not be started: %s", error)
    return unavailable("EXECUTOR_UNAVAILABLE", "the system does not let code start now: the log of the server says why")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pyresilience")
    except PackageNotFoundError:  # run from its sources
        return "unknown"
