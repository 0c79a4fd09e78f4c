"""Running code: cold, from the cache, from the cache over HTTP, and what a cached result weighs."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..contest import OURS, Contestant, Group, Row, Sample
from ..timing import Timed, timed, timed_async
from .metrics import FEWER

if TYPE_CHECKING:
    from pyresilience.sandbox import Execution, Job, Sandbox

COLD = f"{OURS}, cold"
COLD_PLAIN = f"{OURS}, cold, plain subprocess"
BARE_PROCESS = "`subprocess.run`"

RUN = "sandbox, sync: `run_code(\"print('hello')\")`"
RUN_ASYNC = "sandbox, async: `await run_code(\"print('hello')\")`"
RUN_VARIABLES = "sandbox, sync, with 20 variables of its own"
HTTP = "sandbox, HTTP: cached runs per second, 32 clients"
WEIGHT = "sandbox: memory per cached result"

CLIENTS = 32
_CODE = "print('hello')"
_RESULTS = 10_000
_REQUESTS = 100
"""Requests of each client per sample."""


def _sandbox(**settings: Any) -> Sandbox:
    from pyresilience.sandbox import Sandbox, SandboxWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)
        sandbox = Sandbox.create(**settings)
    sandbox.run_code(_CODE)
    return sandbox


def _hit(**arguments: Any) -> Timed:
    return timed("run(code, **arguments)", run=_sandbox().run_code, code=_CODE, arguments=arguments)


def _hit_async() -> Timed:
    from pyresilience.sandbox import AsyncSandbox, SandboxWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)
        sandbox = asyncio.run(AsyncSandbox.create())
    return timed_async("run(code)", run=sandbox.run_code, code=_CODE)


def _cold(**arguments: Any) -> Timed:
    return timed(
        "run(code, use_cache=False, **arguments)",
        copies=1,
        run=_sandbox().run_code,
        code=_CODE,
        arguments=arguments,
    )


def _cold_async() -> Timed:
    from pyresilience.sandbox import AsyncSandbox, SandboxWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)
        sandbox = asyncio.run(AsyncSandbox.create())
    return timed_async("run(code, use_cache=False)", copies=1, run=sandbox.run_code, code=_CODE)


def _cold_plain() -> Timed:
    from pyresilience.sandbox.executors.subprocess import SubprocessExecutor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        executor = SubprocessExecutor()
    return timed("run(code, use_cache=False)", copies=1, run=_sandbox(executor=executor).run_code, code=_CODE)


def _bare_process() -> Timed:
    """An interpreter and nothing around it: no limits, no directory of its own, no environment taken away."""
    command = [sys.executable, "-c", _CODE]
    return timed("run(command, capture_output=True, check=True)", copies=1, run=subprocess.run, command=command)


class _Said:
    """A run that is over."""

    def __init__(self, output: str) -> None:
        self._output = output

    def wait(self) -> Execution:
        from pyresilience.sandbox import Execution

        return Execution(0, self._output, "", 0.01)

    def kill(self) -> None:
        """There is nothing to end."""


class _Sayer:
    """An executor that prints the code without running it: only what is kept is to be weighed."""

    name = "sayer"

    def languages(self) -> dict[str, str]:
        return {"python": "none"}

    def start(self, job: Job) -> _Said:
        return _Said(f"{job.code}\n")

    def close(self) -> None:
        """There is nothing to end."""


def _weight() -> Sample:
    from pyresilience import CacheConfig
    from pyresilience.sandbox import Sandbox

    Sandbox.create(executor=_Sayer()).run_code("0")  # so that it is imported
    codes = [f"{number:06}" for number in range(_RESULTS)]

    def weigh(_: float) -> float:
        """Allocated from before the sandbox until its cache is full; each result has a short output of its own."""
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            sandbox = Sandbox.create(executor=_Sayer(), cache=CacheConfig(max_size=_RESULTS, ttl=0))
            for code in codes:
                sandbox.run_code(code)
            gc.collect()
            assert sandbox.cache.stats()["cache"]["size"] == len(codes)
            return (tracemalloc.get_traced_memory()[0] - before) / len(codes)
        finally:
            tracemalloc.stop()

    return weigh


# Over HTTP.


def _http() -> Sample:
    if find_spec("uvicorn") is None:
        raise ImportError("serving sandboxes needs uvicorn, which is not installed in the environment of the benchmark")
    body = json.dumps({"language": "python", "code": _CODE, "timeout": 30}).encode()
    request = (
        b"POST /execute HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )

    def measure(_: float) -> float:
        """Runs per second that a server in a process of its own answers, all of them but the first from its cache."""
        with _server() as port:
            return asyncio.run(_crowd(port, request))

    return measure


@contextmanager
def _server() -> Iterator[int]:
    """The port of a server that is there as long as this lasts."""
    command = [sys.executable, "-P", "-m", "pyresilience.sandbox", "serve", "--port", "0", "--unsafe"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = urlsplit(server.stdout.readline().partition(" ")[2].strip()).port
        if port is None:
            raise OSError("the server did not say where it is")
        yield port
    finally:
        server.terminate()
        server.communicate()


async def _crowd(port: int, request: bytes) -> float:
    """Requests per second, of so many clients at once, each over a connection of its own that it keeps."""
    crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CLIENTS)]
    try:
        for client in crowd:  # so that it is run, and every connection is warm
            await _ask(client, request, 1)
        began = perf_counter()
        await asyncio.gather(*(_ask(client, request, _REQUESTS) for client in crowd))
        return CLIENTS * _REQUESTS / (perf_counter() - began)
    finally:
        for _, writer in crowd:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _ask(client: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes, times: int) -> None:
    """So many requests, one after the other; an answer that is none, or not of a run that went well, is an error."""
    reader, writer = client
    for _ in range(times):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(length)
        if not head.startswith(b"http/1.1 200") or b'"hello\\n"' not in answer:
            raise OSError(f"the server answered {head[:40]!r} {answer[:200]!r}")


def _ours(measure: Any, name: str = OURS) -> Contestant:
    return Contestant(name, measure, "ours")


_VARIABLES = {f"VARIABLE_{number}": "value" * 10 for number in range(20)}

GROUP = Group(
    "Sandbox",
    f"Cached: the same code again, from the cache. Cold: without the cache, by the executor that is chosen on this "
    f"machine, and by the plain subprocess; beside them, an interpreter that `subprocess.run` starts with nothing "
    f"around it. HTTP: a server in a process of its own, {CLIENTS} connections that are kept, the clients on the same "
    f"machine. Memory: {_RESULTS:,} results with a line of output each, as tracemalloc sees it.",
    (
        Row(
            RUN,
            "seconds",
            (
                _ours(_hit),
                _ours(_cold, COLD),
                _ours(_cold_plain, COLD_PLAIN),
                Contestant(BARE_PROCESS, _bare_process),
            ),
            rounds=FEWER,
            threaded=True,
        ),
        Row(RUN_ASYNC, "seconds", (_ours(_hit_async), _ours(_cold_async, COLD)), rounds=FEWER, threaded=True),
        Row(
            RUN_VARIABLES,
            "seconds",
            (_ours(partial(_hit, env=_VARIABLES)), _ours(partial(_cold, env=_VARIABLES), COLD)),
            rounds=FEWER,
            threaded=True,
        ),
        Row(HTTP, "runs", (_ours(_http),), rounds=3, threaded=True),
        Row(WEIGHT, "bytes", (_ours(_weight),), rounds=1),
    ),
)
