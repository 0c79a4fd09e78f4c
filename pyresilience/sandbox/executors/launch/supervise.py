"""A run from its beginning to its end, seen from beside it."""

from __future__ import annotations

import marshal
import os
import select
import time

from . import system
from .child import attend
from .ending import end_all
from .ownership import hand_over
from .removal import remove

TYPE_CHECKING = False  # importing it would take longer than all of this
if TYPE_CHECKING:
    from .orders import Orders, Report

TICK = 0.5
"""Seconds between two looks at whether the parent is still there, where the system does not tell of it."""


def main(line: int) -> None:
    """Run what the orders on standard input say; *line* is the socket to who ordered it."""
    os.set_inheritable(line, False)
    system.ignore_polite_signals()
    orders: Orders = marshal.loads(_all_of(0))  # noqa: S302 - from our own parent
    report: Report = {"status": None, "timed_out": False, "seconds": 0.0, "error": None, "left": None}
    try:
        _prepare(orders)
        _run(orders, line, report)
    except OSError as error:
        report["error"] = (error.errno or 0, f"{error.strerror or error}")
    try:
        if orders["shared"] is not None and orders["user"] is not None:
            hand_over(orders["shared"], orders["user"])
        remove(orders["directory"])
    except OSError as error:
        report["left"] = f"{error}"
    try:
        os.write(line, marshal.dumps({**report}))
    except OSError:  # nobody wants to know any more
        pass


def _all_of(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


def _prepare(orders: Orders) -> None:
    """Make the run's directory, and write the code into it."""
    made = [orders["directory"], *orders["directories"]]
    for each in made:
        os.mkdir(each, 0o700)  # noqa: PTH102
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(orders["file"], flags, 0o600), "wb") as file:  # noqa: PTH123
        file.write(orders["code"])
    if (user := orders["user"]) is not None:
        for each in [*made, orders["file"]]:
            os.chown(each, user, user)


def _run(orders: Orders, line: int, report: Report) -> None:
    """Let the program run, until it ends, is to end, or its time is up."""
    system.adopt_orphans()
    orders["separate"] = orders["separate"] and system.separate_processes()
    hears, told = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            attend(orders, told)
        finally:
            os._exit(1)
    os.close(told)
    try:
        report["timed_out"] = _wait(orders, line, hears, start + orders["timeout"])
        if select.select([hears], [], [], 0)[0] and (said := os.read(hears, 65536)):
            report["status"], report["error"] = marshal.loads(said)  # noqa: S302 - from our own child
            report["timed_out"] = False
    finally:
        report["seconds"] = time.monotonic() - start
        os.close(hears)
        end_all(child)


def _wait(orders: Orders, line: int, hears: int, deadline: float) -> bool:
    """Return when the program has ended, nobody wants it any more, or its time is up; True: the latter."""
    watched = select.poll()
    for each in (line, hears):
        watched.register(each, select.POLLIN)
    parent = _watch(orders["parent"])
    if parent is not None:
        watched.register(parent, select.POLLIN)
    while os.getppid() == orders["parent"]:
        left = deadline - time.monotonic()
        if left <= 0:
            return True
        if watched.poll(min(left if parent is not None else min(left, TICK), 3600.0) * 1000 + 1):
            return False
    return False


def _watch(process: int) -> int | None:
    """A file that becomes readable when *process* ends; None: this system has no such thing."""
    try:
        return os.pidfd_open(process)
    except (AttributeError, OSError):
        return None
