"""The app in a uvicorn of its own: from its address to its end."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...http.server import _listen
from .app import SandboxApp
from .punctual import punctual

if TYPE_CHECKING:
    from types import FrameType

GRACE = 1
"""Seconds that answers under way are given at the end, once everything that ran was killed."""


def serve(app: SandboxApp, host: str, port: int, announce: Callable[[str], object]) -> None:
    """Serve *app* until SIGINT or SIGTERM; then kill what runs, answer who still waits, and return.

    Args:
        app: What is served.
        host: The address to listen on.
        port: The port; 0: the system picks one.
        announce: Is told the address once it is served.

    Raises:
        ImportError: uvicorn is not installed.
        OSError: The address cannot be listened on.
    """
    uvicorn = _uvicorn()
    listening = _listen(host, port)

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined] # its base is loaded when it is needed
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            announce(_address(listening))

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await app.close()  # before the answers are waited for: those of running code would be long in coming
            await super().shutdown(sockets=sockets)
            for each in list(self.server_state.connections):  # whose clients do not read what they asked for
                each.transport.abort()

    config = uvicorn.Config(
        app,
        http=punctual(),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = Server(config)

    def stop(_: int, __: FrameType | None) -> None:
        """Hear a signal that comes before uvicorn listens for it, or that it sends again when it has ended."""
        server.should_exit = True

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
        for each, handler in before.items():
            signal.signal(each, handler)


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError("serving sandboxes needs uvicorn: pip install uvicorn") from error
    return uvicorn


def _address(listening: socket.socket) -> str:
    """Where *listening* is reached, without a slash at the end; of all addresses, the one on this machine."""
    name = listening.getsockname()
    host, port = str(name[0]), name[1]
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not listened on
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"
