"""`python -m pyresilience stats URL`: the figures as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .client import address_of, fetch
from .failure import token_from
from .options import add_client_options


def add_to(commands: Any) -> None:
    """Make the command known."""
    command = commands.add_parser(
        "stats",
        help="print the figures as JSON",
        description="Print what a server answers at /stats.json: indented on a terminal, on one line elsewhere.",
        epilog="Exit code: 0, or 1 if the server cannot be reached or is none of ours. "
        "Example: python -m pyresilience stats localhost:8321 | jq '.functions[] | {function, circuit}'",
    )
    add_client_options(command)
    command.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the figures.

    Raises:
        Failure: There are none.
    """
    address = address_of(chosen.url, chosen.window)
    figures = fetch(address, token=token_from(chosen.token_env), timeout=chosen.timeout)
    # Escaped to ASCII: a name cannot send commands to the terminal.
    sys.stdout.write(json.dumps(figures, indent=2 if sys.stdout.isatty() else None) + "\n")
    sys.stdout.flush()
    return 0
