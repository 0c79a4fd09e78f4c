"""The processes below the supervisor: the one that waits for the code, and the code."""

from __future__ import annotations

import fcntl
import marshal
import os
import resource

from . import system

TYPE_CHECKING = False  # importing it would take longer than all of this
if TYPE_CHECKING:
    from typing import NoReturn

    from .orders import Orders

NOT_STARTED = 126


def attend(orders: Orders, told: int) -> NoReturn:
    """Start the program, bury whoever dies, and write to *told* how the program ended; then end.

    This is the first process of the run's own world of processes, if it has one: when it ends, all in it are killed.
    """
    system.die_with_parent()
    system.adopt_orphans()
    if orders["separate"]:
        system.show_own_processes()
    hears, failed = (_high(each) for each in os.pipe())
    program = os.fork()
    if program == 0:
        _become_the_program(orders, failed)
    os.close(failed)
    error = os.read(hears, 65536)
    while True:
        process, status = os.wait()
        if process == program:
            os.write(told, marshal.dumps((status, marshal.loads(error) if error else None)))  # noqa: S302 - our own
            os._exit(0)


def _high(file: int) -> int:
    """*file* under a number that no program is given a file under; closed when another program is executed."""
    moved = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 16)
    os.close(file)
    return moved


def _become_the_program(orders: Orders, failed: int) -> NoReturn:
    """Confine this process, and execute the program in it."""
    try:
        os.setsid()
        _take_as(0, os.open(orders["stdin"], os.O_RDONLY))
        if orders["told"] is not None:
            _take_as(3, _file_with(orders["told"]))
        os.chdir(orders["working_directory"])
        _dies_first()
        system.default_signals()
        counted_apart = orders["separate"] or orders["user"] is not None
        for kind, most in orders["limits"]:
            others = 0 if counted_apart or kind != resource.RLIMIT_NPROC else _threads_of_this_user() - 1
            _limit(kind, most + others)
        if orders["become"] and orders["user"] is not None:
            system.become(orders["user"], orders["capabilities"])
        system.die_with_parent()
        if orders["separate"] or orders["become"]:
            system.gain_no_privileges()
        os.execve(orders["command"][0], orders["command"], orders["environment"])  # noqa: S606
    except BaseException as error:  # noqa: BLE001 - it is told to who waits for it
        number = getattr(error, "errno", None) or 0
        os.write(failed, marshal.dumps((number, f"{getattr(error, 'strerror', None) or error}")))
    finally:
        os._exit(NOT_STARTED)


def _take_as(number: int, file: int) -> None:
    """Let the program find the open *file* under *number*."""
    if file == number:
        os.set_inheritable(file, True)
    else:
        os.dup2(file, number)
        os.close(file)


def _file_with(content: bytes) -> int:
    """A nameless file with *content*, open for reading."""
    file = os.memfd_create("told")
    with os.fdopen(os.dup(file), "wb") as written:
        written.write(content)
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _limit(kind: int, most: int) -> None:
    """Let it have no more than *most* of a resource, or what it has already if that is less."""
    has = resource.getrlimit(kind)[1]
    hard = most if has == resource.RLIM_INFINITY else min(most, has)
    soft = hard
    if kind == resource.RLIMIT_CPU:  # a signal that says why, and a second to heed it
        hard = hard + 1 if has == resource.RLIM_INFINITY else min(hard + 1, has)
    resource.setrlimit(kind, (soft, hard))


def _threads_of_this_user() -> int:
    """What the system counts for this user already, this process included."""
    total, user = 0, os.getuid()
    for each in os.listdir("/proc"):  # noqa: PTH208 - pathlib takes longer to load than all of this
        try:
            if each.isdecimal() and os.stat(f"/proc/{each}").st_uid == user:  # noqa: PTH116
                total += len(os.listdir(f"/proc/{each}/task"))  # noqa: PTH208
        except OSError:  # it is gone
            pass
    return total


def _dies_first() -> None:
    """When memory runs out, the system looks here first."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("1000")
    except OSError:  # there is no such thing here
        pass
