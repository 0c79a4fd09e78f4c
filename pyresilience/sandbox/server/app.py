"""The ASGI app: which agent or plane a request is for, and who may ask."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from ... import _async
from ..._log import log
from ..._outcome import Expired
from ...clock import Clock, SystemClock
from ...http.asgi import App, Receive, Scope, Send, _send, resilience_app
from ...http.messages import Answer, Refused
from ...http.mounts import is_under
from .bodies import BODY_SECONDS, MAX_BODY, Gone, read_body
from .control import ROOT, ControlPlane
from .places import Places
from .refusals import error_answer, method_not_allowed, not_found, unauthorized, unavailable
from .registry import Hosted, Registry
from .requests import Handler, Request, request_of
from .strangers import turn_away
from .tokens import Secret

if TYPE_CHECKING:
    from ..executors.base import Executor

MAX_CONCURRENT = 32
"""How many programs run at once, unless told otherwise."""
TICK = 0.25
"""Seconds between two looks at whose time is over."""
WITH_BODY = ("POST", "PUT", "PATCH")


def sandbox_app(
    executor: Executor,
    *,
    token: str | None = None,
    max_concurrent: int = MAX_CONCURRENT,
    single: bool = False,
    max_body: int = MAX_BODY,
    body_seconds: float = BODY_SECONDS,
    clock: Clock | None = None,
) -> SandboxApp:
    """An ASGI app that runs code for its clients.

    At the root answers the agent of a sandbox of its own, under `/v1` the control plane, under `/s/<id>` the agent of
    each sandbox made there, and under `/ops` the statistics page. It needs the server's lifespan events: at the end
    everything that runs is killed.

    Args:
        executor: What runs the code; the app closes it at its end.
        token: What clients must bring; None: only programs of this machine are served, and need none.
        max_concurrent: Programs that run at once, in all sandboxes; more are refused with 429.
        single: There is the one sandbox only, and no control plane.
        max_body: Bytes that the body of a request may have.
        body_seconds: Within which it must have arrived.
        clock: Tells when a sandbox's time is over.

    Raises:
        ValueError: The token is none, or a number is not above 0.
    """
    if isinstance(max_concurrent, bool) or not isinstance(max_concurrent, int) or max_concurrent < 1:
        raise ValueError(f"max_concurrent must be a whole number of at least 1, got {max_concurrent!r}")
    places = Places(max_concurrent)
    return SandboxApp(executor, Secret(token), places, single, max_body, body_seconds, clock or SystemClock(), token)


class SandboxApp:
    """See `sandbox_app`, which makes it."""

    def __init__(
        self,
        executor: Executor,
        secret: Secret,
        places: Places,
        single: bool,
        max_body: int,
        body_seconds: float,
        clock: Clock,
        token: str | None,
    ) -> None:
        self._executor = executor
        self._secret = secret
        self._max_body = max_body
        self._body_seconds = body_seconds
        self._registry = Registry(executor, places, clock)
        self._control = None if single else ControlPlane(self._registry, secret)
        self._ops: App = resilience_app(token=token, protect="clear" if token is None else "all")
        self._root: Hosted | None = None
        self._stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one lifespan."""
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": "there is no WebSocket here"})
        else:
            raise ValueError(f"an ASGI scope must be of type http, lifespan or websocket, got {kind!r}")

    async def close(self) -> None:
        """End every sandbox and everything that runs, and take no more requests."""
        self._stopping = True
        await self._registry.end_all()
        if self._root is not None:
            await self._root.sandbox.kill()
        self._executor.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        with suppress(Expired):
            await _async.unless(receive, self._reap)
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _reap(self) -> NoReturn:
        """End whose time is over, again and again."""
        while True:
            await _async.pause(TICK)
            await self._registry.end_expired()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = request_of(scope, receive)
        try:
            answer = await self._answer(request, scope, receive, send)
        except Gone:
            return
        if answer is not None:
            told = replace(answer, headers=(*answer.headers, ("X-Request-ID", request.id)))
            with suppress(OSError):  # the client is gone
                await _send(told, send, bodiless=request.method == "HEAD")

    async def _answer(self, request: Request, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """The answer; None: the statistics page gave one.

        Raises:
            Gone: Nobody hears it.
        """
        try:
            if not self._secret.demanded:
                turn_away(request)
            if is_under(request.path, "/ops"):
                await self._ops({**scope, "root_path": f"{request.prefix}/ops"}, receive, send)
                return None
            return await self._routed(request, receive)
        except Refused as refused:
            return error_answer(_stops() if self._stopping else refused, request)
        except Gone:
            raise
        except Exception:  # noqa: BLE001 - whatever fails, the client gets an answer, and the log the whole story
            log().exception("request %s, %s %s, could not be answered", request.id, request.method, request.path)
            message = "the answer could not be made: the log of the server says why"
            return error_answer(Refused(500, "INTERNAL_ERROR", message), request)

    async def _routed(self, request: Request, receive: Receive) -> Answer:
        handler = await self._handler(request)
        if self._stopping:
            raise _stops()
        if request.method not in WITH_BODY:
            return await handler(request)
        body = await read_body(receive, request.headers, self._max_body, self._body_seconds)
        return await handler(replace(request, body=body))

    async def _handler(self, request: Request) -> Handler:
        """What answers *request*.

        Raises:
            Refused: Nothing does, or it may not be asked.
        """
        if is_under(request.path, ROOT):
            if self._control is None:
                raise not_found("this server has a single sandbox, and no control plane")
            methods = self._control.methods(request)
        elif is_under(request.path, "/s"):
            methods = (await self._hosted(request)).agent.methods(_within(request.path))
        else:
            if not self._secret.knows(request.bearer):
                raise unauthorized("the token is missing or wrong: send it as 'Authorization: Bearer <token>'")
            methods = (await self._at_root()).agent.methods(request.path)
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise method_not_allowed(methods)
        return handler

    async def _hosted(self, request: Request) -> Hosted:
        """The sandbox that *request* is for, if it brings a token of it.

        Raises:
            Refused: 404, there is none, or 401.
        """
        hosted = await self._registry.find(request.path.split("/")[2] if request.path.count("/") > 1 else "")
        if not hosted.tokens.knows(request.bearer):
            raise unauthorized(
                "the sandbox's token is missing, wrong or too old: send the auth_token that came with the sandbox as "
                "'Authorization: Bearer <token>', or ask for a new one at /v1/sandboxes/<id>/token/refresh"
            )
        return hosted

    async def _at_root(self) -> Hosted:
        """The sandbox whose agent answers at the root."""
        if self._root is None:
            self._root = await self._registry.unlisted("code-interpreter")
        return self._root


def _stops() -> Refused:
    return unavailable("SHUTTING_DOWN", "the server stops")


def _within(path: str) -> str:
    """`/execute` of `/s/<id>/execute`."""
    return "/" + path.removeprefix("/s/").partition("/")[2]
