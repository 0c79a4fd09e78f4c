"""Options that more than one command has."""

from __future__ import annotations

import argparse
from math import isfinite


def add_client_options(command: argparse.ArgumentParser) -> None:
    """What every command takes that asks a server."""
    command.add_argument(
        "url",
        metavar="URL",
        help="the server, or where the app is mounted: localhost:8321, https://shop.example/ops",
    )
    command.add_argument(
        "--window",
        type=window,
        metavar="WINDOW",
        help="look back so far only: 60, 3600 or 86400 seconds, or 1m, 1h, 1d (default: since the start)",
    )
    command.add_argument(
        "--timeout", type=above_zero, default=5.0, metavar="SECONDS", help="how long to wait for an answer (default: 5)"
    )
    add_token_option(command, "sent as 'Authorization: Bearer'")


def add_token_option(command: argparse.ArgumentParser, purpose: str) -> None:
    """Where the token is: never on the command line itself, which everybody on the machine can read."""
    command.add_argument(
        "--token-env", metavar="VARIABLE", help=f"the environment variable that holds the token; it is {purpose}"
    )


def above_zero(text: str) -> float:
    """A number of seconds.

    Raises:
        ArgumentTypeError: It is none, or not above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value > 0 and isfinite(value)):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, got {text!r}")
    return value


def window(text: str) -> int:
    """A window in whole seconds, from a number of them or text such as `1h`.

    Raises:
        ArgumentTypeError: It is neither.
    """
    from .._settings import seconds

    try:
        value = seconds(text if text[-1:].isalpha() else f"{text}s")
    except ValueError:
        value = 0.0
    if value < 1 or value != int(value):
        raise argparse.ArgumentTypeError(f"must be 60, 3600 or 86400, or 1m, 1h or 1d, got {text!r}")
    return int(value)


def port(text: str) -> int:
    """A port; 0: the system picks one.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 (the system picks) to 65535, got {text!r}")
    return int(text)
