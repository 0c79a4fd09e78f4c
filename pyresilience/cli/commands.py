"""What the command line understands, and who does it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .failure import Failure

EXIT_FAILED = 1
"""It could not be done; the message on stderr says why. argparse itself exits with 2 where it does not understand."""
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what *arguments* say (None: those of the process), and give the exit code."""
    chosen = parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except Failure as failure:
        sys.stderr.write(f"{_program(chosen)}: {failure}\n")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is still buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def parser() -> argparse.ArgumentParser:
    """What is understood."""
    whole = argparse.ArgumentParser(
        prog="python -m pyresilience",
        description="Show what the caches and pipelines of a process do: as a page, as a table, as JSON.",
        epilog="'python -m pyresilience COMMAND -h' explains a command.",
    )
    whole.add_argument("--version", action="version", version=f"pyresilience {_version()}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    from . import serve, stats, top

    for each in (serve, top, stats):
        each.add_to(commands)
    return whole


def _program(chosen: argparse.Namespace) -> str:
    return f"pyresilience {chosen.run.__module__.rpartition('.')[2]}"


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pyresilience")
    except PackageNotFoundError:
        return "(of a source tree that is not installed)"
