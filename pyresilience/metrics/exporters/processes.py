"""Which process something came from, and whether it still lives."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SILENT = 30.0
"""Seconds without a sign of life after which a process that cannot be looked at is taken to have ended."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process, told apart from one that has its number later.

    Args:
        machine: Where it runs: a boot of a machine, and the container in it.
        pid: Its number there.
        started: When it started, as the system tells it; empty: it does not.
    """

    machine: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> Process:
        """The one that asks."""
        pid = os.getpid()
        return cls(_machine(), pid, _started(pid) or "")

    def has_ended(self) -> bool | None:
        """Whether it is over for certain; None: it cannot be seen from here."""
        if self.machine != _machine() or os.name != "posix":
            return None
        if (started := _started(self.pid)) is not None:
            return started != self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it is there, and somebody else's
            pass
        return False

    def lives(self, heard: float) -> bool:
        """Whether it is alive, as far as can be told; *heard*: its last sign of life, in seconds since 1970."""
        ended = self.has_ended()
        return time.time() - heard < SILENT if ended is None else not ended


@cache
def _machine() -> str:
    """What numbers of processes are unique in."""
    known = [platform.node()]
    try:
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        known.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - what it points to is no path
    except OSError:  # not on this system
        pass
    return " ".join(known)


def _started(pid: int) -> str | None:
    """When the process started, in ticks since the system did; None: that cannot be known. Empty for a zombie."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in "ZX" else fields[19]
