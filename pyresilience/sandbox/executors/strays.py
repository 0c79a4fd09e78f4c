"""What is left when a supervisor was killed itself, found by the name of its run's directory."""

from __future__ import annotations

import os
import signal
from pathlib import Path

ROUNDS = 20


def end_strays(name: str) -> None:
    """Kill every process that has *name* in its command line, its environment or its working directory.

    That is a last resort: where the system lets nobody separate processes, code can kill its supervisor, and a process
    that it has started with another command line and an empty environment then escapes.
    """
    for _ in range(ROUNDS):
        found = [each for each in Path("/proc").glob("[0-9]*") if _belongs(each, name.encode())]
        if not found:
            return
        for each in found:
            try:
                os.kill(int(each.name), signal.SIGKILL)
            except OSError:  # it is gone
                pass


def _belongs(process: Path, name: bytes) -> bool:
    if process.name == str(os.getpid()):
        return False
    try:
        if process.joinpath("stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X"):
            return False
        seen = process.joinpath("cmdline").read_bytes() + process.joinpath("environ").read_bytes()
        return name in seen + os.readlink(os.fsencode(process / "cwd"))  # noqa: PTH115 - as bytes
    except OSError:  # it is gone, or not ours
        return False
