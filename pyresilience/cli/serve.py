"""`python -m pyresilience serve`: the page and its figures, from a process of their own."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _blocking
from .failure import Failure, token_from
from .options import add_token_option, port

if TYPE_CHECKING:
    from ..http.access import Protect
    from ..http.sources import States

FAREWELL = 0.8
"""Seconds after which the process ends although an answer is still under way."""
LOOK = 0.5
"""Seconds between two looks at whether it is to stop, on systems where a signal does not end a wait."""


def add_to(commands: Any) -> None:
    """Make the command known."""
    command = commands.add_parser(
        "serve",
        help="serve the page, /metrics and the other figures from a process of its own",
        description="Serve the page and its figures: of the worker processes that publish their states in DIRECTORY, "
        "or of the functions in modules that are imported here. The address is printed on one line. SIGINT and SIGTERM "
        "stop it.",
        epilog="Exit code: 0 when it was stopped, 1 if it cannot serve. Examples: python -m pyresilience serve "
        "/run/shop/metrics; python -m pyresilience serve --import shop.prices --port 0",
    )
    command.add_argument(
        "directory", metavar="DIRECTORY", nargs="?", help="where worker processes publish their states"
    )
    command.add_argument(
        "--import",
        dest="modules",
        metavar="MODULE",
        action="append",
        default=[],
        help="a module whose functions are shown; also found in the current directory; may be given several times",
    )
    command.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1, this machine)"
    )
    command.add_argument(
        "--port", type=port, default=8321, help="the port to listen on; 0: any free one (default: 8321)"
    )
    add_token_option(command, "demanded by POST /cache/clear, and see --protect")
    command.add_argument(
        "--protect",
        choices=("clear", "all"),
        help="what the token is demanded for: clearing only, or everything but /healthz (default: clear on loopback "
        "addresses, all on others)",
    )
    command.add_argument(
        "--open-circuits",
        choices=("ok", "fail"),
        default="ok",
        help="what /healthz makes of an open circuit: nothing, or status 503 (default: ok)",
    )
    command.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Serve until a signal comes.

    Raises:
        Failure: It cannot, or may not.
    """
    from ..http.server import Server
    from ..http.wsgi import resilience_app

    token = token_from(chosen.token_env)
    protect = _protect(chosen, token)
    try:
        app = resilience_app(states=_states(chosen), token=token, protect=protect, open_circuits=chosen.open_circuits)
        server = Server(app, chosen.host, chosen.port)
    except ValueError as error:
        raise Failure(str(error)) from None
    with _until_told() as wait:
        try:
            server.start()
        except OSError as error:
            raise Failure(error.strerror or str(error)) from None
        sys.stdout.write(f"Serving {server.url}/\n")
        sys.stdout.flush()
        wait()
        # An answer under way is given its time, but not more than a person waits for.
        _blocking.in_background(server.stop, "pyresilience-farewell").join(FAREWELL)
    return 0


def _protect(chosen: argparse.Namespace, token: str | None) -> Protect:
    """What the token guards.

    Raises:
        Failure: Others could look, and there is no token.
    """
    here = _is_loopback(chosen.host)
    if token is None and not here:
        raise Failure(
            f"--host {chosen.host} can be reached from other machines: put a token into an environment variable and "
            "name it with --token-env, or listen on 127.0.0.1"
        )
    if token is None and chosen.protect == "all":
        raise Failure("--protect all needs a token: name the environment variable that holds it with --token-env")
    protect: Protect = chosen.protect or ("clear" if here else "all")
    return protect


def _is_loopback(host: str) -> bool:
    """Whether only this machine can reach *host*."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host or None, 0, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Failure(f"--host {host!r} is no address of this machine: {error.strerror or error}") from None
    return all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def _states(chosen: argparse.Namespace) -> States | None:
    """What gives the states of the workers; None: the functions of this process are shown.

    Raises:
        Failure: There is no such directory or module, or neither or both are named.
    """
    if (chosen.directory is None) != bool(chosen.modules):
        raise Failure(
            "name either the DIRECTORY in which worker processes publish their states, or modules with --import MODULE"
        )
    if chosen.directory is None:
        _import(chosen.modules)
        return None
    directory = Path(chosen.directory)
    if not directory.is_dir():
        problem = "is not a directory" if directory.exists() else "does not exist"
        raise Failure(f"DIRECTORY {str(directory)!r} {problem}: name the one that the workers publish their states in")
    from ..metrics.exporters.multiprocess import read_states

    return lambda: read_states(directory)


def _import(modules: list[str]) -> None:
    here = os.getcwd()  # noqa: PTH109 - sys.path holds text
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    for module in modules:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise Failure(f"--import {module}: {error}") from error
            raise Failure(
                f"--import {module}: there is no module {error.name!r}, neither installed nor in {here}"
            ) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's module: whatever it raises is told
            import traceback

            traceback.print_exc()
            raise Failure(f"--import {module}: importing it raised {type(error).__name__}, see above") from None
    from ..metrics.roster import roster

    if not roster.subjects():
        sys.stderr.write(
            "pyresilience serve: no function in these modules has metrics; decorate some with "
            "@resilient(cache=CacheConfig(enable_metrics=True))\n"
        )


@contextmanager
def _until_told() -> Iterator[Callable[[], None]]:
    """Gives what waits for SIGINT or SIGTERM; a second signal ends the process as it always does."""
    told = _blocking.Signal()
    stopped: list[int] = []

    def hear(number: int, _: object) -> None:
        stopped.append(number)
        restore()
        told.set()

    before = {each: signal.signal(each, hear) for each in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)

    def wait() -> None:
        while not stopped:
            told.hold(LOOK)

    try:
        yield wait
    finally:
        restore()
