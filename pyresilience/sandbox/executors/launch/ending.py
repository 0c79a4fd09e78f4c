"""Ending all processes below this one."""

from __future__ import annotations

import os

from .system import LINUX, SIGKILL


def end_all(child: int | None) -> None:
    """Kill *child* and every descendant of this process, and wait until none is left.

    This process adopts orphans (`adopt_orphans`), so a descendant that ran away from its parents is still one. Those
    born meanwhile are met in the next round: each round begins when somebody has died.
    """
    if child is not None:  # mostly that is the end of all
        _kill(child)
        os.waitpid(child, 0)
    while _reap():
        for each in _descendants():
            _kill(each)
        try:
            os.wait()
        except ChildProcessError:
            return


def _reap() -> bool:
    """Bury the dead; False: there is no child any more."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _kill(process: int) -> None:
    try:
        os.kill(process, SIGKILL)
    except OSError:  # it is gone
        pass


def _descendants() -> list[int]:
    """Every process below this one, the nearest first."""
    children: dict[int, list[int]] = {}
    for process, parent in _parents():
        children.setdefault(parent, []).append(process)
    found = [os.getpid()]
    for each in found:
        found += children.get(each, ())
    return found[1:]


def _parents() -> list[tuple[int, int]]:
    """Every process of the machine, with its parent."""
    if not LINUX:
        with os.popen("ps -A -o pid=,ppid=") as lines:  # noqa: S605, S607 - there is no /proc
            pairs = [line.split() for line in lines]
        return [(int(process), int(parent)) for process, parent in pairs]
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    found.append((int(name), int(file.read().rpartition(b")")[2].split()[1])))
            except OSError:  # it is gone
                pass
    return found
