"""What the C library offers and Python's own does not: signals as they were, privileges, namespaces of Linux."""

from __future__ import annotations

import ctypes
import os
import sys

LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)

SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGTERM, SIGXFSZ = 1, 2, 9, 13, 15, 25
_BY_DEFAULT, _IGNORED = 0, 1

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAPABILITIES_VERSION = 0x20080522

_NEW_MOUNTS, _NEW_USER, _NEW_PROCESSES = 0x00020000, 0x10000000, 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 2, 4, 8, 0x4000, 0x80000


def _check(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(each) for each in (*arguments, 0, 0, 0, 0)[:4]]
    _check(_libc.prctl(option, *words))


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own: nothing that is started below gets out of sight."""
    if LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Be killed when the parent ends, however it ends."""
    if LINUX:
        _prctl(_PR_SET_PDEATHSIG, SIGKILL)


def gain_no_privileges() -> None:
    """Let no program that is executed from now on have more privileges than this one, as `sudo` and `su` would."""
    if LINUX:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def ignore_polite_signals() -> None:
    """Stay when everybody is asked to leave: there is a run to be seen to its end."""
    for number in (SIGHUP, SIGINT, SIGTERM):
        _libc.signal(number, ctypes.c_void_p(_IGNORED))


def default_signals() -> None:
    """Undo what the interpreter, this program and whoever started it have done to signals."""
    for number in (SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGXFSZ):
        _libc.signal(number, ctypes.c_void_p(_BY_DEFAULT))
    none_blocked = ctypes.create_string_buffer(128)
    _libc.sigprocmask(2 if LINUX else 3, none_blocked, None)


def become(user: int, capabilities: int) -> None:
    """Take the user and group id *user*, and keep of root's powers nothing but *capabilities* (a bit mask of Linux).

    Raises:
        OSError: The system refuses.
    """
    if capabilities:
        _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if capabilities:
        header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
        data = (ctypes.c_uint32 * 6)(capabilities, capabilities, capabilities, 0, 0, 0)
        _check(_libc.capset(header, data))
        for number in range(32):
            if capabilities >> number & 1:
                _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number)


def separate_processes() -> bool:
    """Let the next child be the first process of a world of its own, whose end is the end of all in it.

    Needs root, or a system that lets everybody make user namespaces.

    Returns:
        Whether the system allows it.
    """
    if not LINUX:
        return False
    user, group = os.geteuid(), os.getegid()
    if user == 0 and _libc.unshare(_NEW_MOUNTS | _NEW_PROCESSES) == 0:
        return True
    if user == 0 or _libc.unshare(_NEW_USER | _NEW_MOUNTS | _NEW_PROCESSES) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib takes longer to load than all of this
            file.write(text)
    return True


def show_own_processes() -> None:
    """In a world of processes of its own: let `/proc` show those and no others, where the system allows it."""
    _libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None)
    _libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC), None)
