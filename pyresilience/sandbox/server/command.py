"""`python -m pyresilience.sandbox serve`: what it understands, and what it refuses."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...cli.failure import Failure, token_from
from ...cli.options import port
from ...cli.serve import _is_loopback
from .app import MAX_CONCURRENT, sandbox_app
from .serving import serve

if TYPE_CHECKING:
    from ..executors.base import Executor

PROGRAM = "python -m pyresilience.sandbox"
EXIT_FAILED = 1
"""It cannot serve; the message on stderr says why. argparse itself exits with 2 where it does not understand."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what *arguments* say (None: those of the process), and give the exit code."""
    chosen = parser().parse_args(arguments)
    try:
        return run(chosen)
    except Failure as failure:
        sys.stderr.write(f"{PROGRAM} serve: {failure}\n")
        return EXIT_FAILED


def parser() -> argparse.ArgumentParser:
    """What is understood."""
    whole = argparse.ArgumentParser(prog=PROGRAM, description="Run code, and reuse the results of identical runs.")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = commands.add_parser(
        "serve",
        help="run code for clients that ask over HTTP",
        description="Run code for clients that ask over HTTP. The agent of one sandbox answers at the root; further "
        "sandboxes are made at /v1/sandboxes. The statistics page is at /ops/. The address is printed on one line. "
        "SIGINT and SIGTERM stop it, and kill what runs.",
        epilog="Exit code: 0 when it was stopped, 1 if it cannot serve.",
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on (default: 127.0.0.1, this machine); any other needs a token",
    )
    command.add_argument(
        "--port", type=port, default=7777, help="the port to listen on; 0: any free one (default: 7777)"
    )
    secret = command.add_mutually_exclusive_group()
    secret.add_argument(
        "--token",
        metavar="T",
        help="what clients must send as 'Authorization: Bearer T', or to /v1 as X-API-Key; every user of this machine "
        "can read it on the command line, so rather use --token-env",
    )
    secret.add_argument("--token-env", metavar="VARIABLE", help="the environment variable that holds the token")
    command.add_argument(
        "--max-concurrent",
        type=_count,
        default=MAX_CONCURRENT,
        metavar="N",
        help=f"programs that run at once; clients beyond are told to come back (default: {MAX_CONCURRENT})",
    )
    command.add_argument("--single", action="store_true", help="one sandbox only, and no /v1")
    command.add_argument(
        "--unsafe",
        action="store_true",
        help="serve even where bubblewrap is missing, so that code runs as a plain process of this user, who must "
        "trust every client",
    )
    command.set_defaults(run=run)
    return whole


def run(chosen: argparse.Namespace) -> int:
    """Serve until a signal comes.

    Raises:
        Failure: It cannot, or may not.
    """
    token = chosen.token if chosen.token_env is None else token_from(chosen.token_env)
    if token is None and not _is_loopback(chosen.host):
        raise Failure(
            f"--host {chosen.host} can be reached from other machines: put a token into an environment variable and "
            "name it with --token-env, or listen on 127.0.0.1"
        )
    executor = _executor(unsafe=chosen.unsafe)
    try:
        app = sandbox_app(executor, token=token, max_concurrent=chosen.max_concurrent, single=chosen.single)
        serve(app, chosen.host, chosen.port, _announce)
    except (ImportError, ValueError) as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(error.strerror or str(error)) from None
    finally:
        executor.close()
    return 0


def _executor(*, unsafe: bool) -> Executor:
    """What runs the code.

    Raises:
        Failure: It would not be held off from anything on this machine, and nobody said that this is meant.
    """
    from ..errors import SandboxWarning
    from ..executors.choose import choose

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)  # here it is an error, or said to be meant
        executor = choose()
    if executor.name == "subprocess" and not unsafe:
        executor.close()
        raise Failure(
            "bubblewrap is not installed or does not work here, so code would run as a plain process that can do "
            "whatever this user can: install the package bubblewrap (apt-get install bubblewrap), or, if you trust "
            "every client, say --unsafe"
        )
    return executor


def _announce(address: str) -> None:
    sys.stdout.write(f"Serving {address}/\n")
    sys.stdout.flush()


def _count(text: str) -> int:
    """A whole number of at least 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 7 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 999999, got {text!r}")
    return int(text)
