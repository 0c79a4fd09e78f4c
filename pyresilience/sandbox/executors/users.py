"""User ids that nobody has, one for each run that root starts.

A run with a user id of its own can signal nobody else's processes, its processes are counted apart from all others,
and the files of others are closed to it.
"""

from __future__ import annotations

import functools
import os
import random
from pathlib import Path

HIGH = range(1_900_000_000, 2_100_000_000)
"""Ids that no convention gives to anybody."""
LOW = range(60_578, 61_184)
"""The same, where a container has no ids as high."""
READ_ALL, WRITE_ALL, OWN_ALL = 1 << 2, 1 << 1, 1 << 3
"""What of root's powers opens files to it: CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, CAP_FOWNER."""
_NEEDED = 1 << 0 | READ_ALL | WRITE_ALL | OWN_ALL | 1 << 5 | 1 << 6 | 1 << 7
"""Those, and to change owners (CAP_CHOWN), to signal (CAP_KILL) and to become another (CAP_SETGID, CAP_SETUID)."""


def unused_user() -> int | None:
    """A user id for one run; None: this process may not become another user, as only root may."""
    ids = _ids()
    return random.choice(ids) if ids is not None else None


@functools.cache
def _ids() -> range | None:
    if os.geteuid() != 0:
        return None
    try:
        status = Path("/proc/self/status").read_text("utf-8", "replace")
        mapped = [list(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    except OSError:  # this is not Linux
        return None
    has = int(status.partition("\nCapEff:")[2].split()[0], 16)
    if has & _NEEDED != _NEEDED:
        return None
    for ids in (HIGH, LOW):
        if any(first <= ids[0] and ids[-1] < first + count for first, _, count in mapped):
            return ids
    return None
