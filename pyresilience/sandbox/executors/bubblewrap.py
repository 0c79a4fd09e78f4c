"""Running code in a sandbox of bubblewrap: no network, and no files but its own and its interpreter's."""

from __future__ import annotations

import functools
import os
import resource
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ..errors import SandboxError
from ..job import Job
from ..languages import SEARCHED, Interpreter
from .launch.orders import Orders
from .supervised import Place, SupervisedExecutor, orders_for
from .users import unused_user

WORKSPACE = "/workspace"
"""The working directory, as the code sees it."""
CODE = "/code"
"""Where the code itself lies."""
ADVICE = "install it with your system's packages (Debian, Ubuntu: apt-get install bubblewrap)"
PATIENCE = 20.0
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_CONFIGURATION = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/ssl/openssl.cnf",
)
_UNSAFE = {
    "GCONV_PATH", "GETCONF_DIR", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "NIS_PATH", "NLSPATH", "RESOLV_HOST_CONF",
    "RES_OPTIONS", "TZDIR",
}  # fmt: skip
"""Variables that make the C library load or read what they name (glibc ignores them in privileged programs)."""


class BubblewrapExecutor(SupervisedExecutor):
    """Runs code in a sandbox of its own, made by [bubblewrap](https://github.com/containers/bubblewrap).

    It sees no network, no processes but its own, and no files but the system's programs and its interpreter (read-only)
    and its working directory, which is called `/workspace`. Without a given one that is kept in memory, like `/tmp`,
    and each of them holds twice the largest file that is allowed.

    Started by anybody but root, it is a user namespace in which no other can be made. Started by root, the code has a
    user id of its own instead, and none of root's powers; only for a given working directory it keeps those that open
    files, of which it sees none but its own.

    Raises:
        SandboxError: bubblewrap is not there, or does not work here.
    """

    name = "bubblewrap"

    def __init__(self) -> None:
        if (reason := why_not()) is not None:
            raise SandboxError(reason)
        super().__init__()
        self._bwrap = _program("bwrap")

    def _orders(self, job: Job, interpreter: Interpreter, place: Place) -> Orders:
        given = job.working_dir
        file = f"{CODE}/main{interpreter.suffix}"
        room = str(2 * job.limits.file_bytes)
        walls = _walls(interpreter.folders, place.user)
        for each in ("/tmp", "/dev/shm"):  # noqa: S108 - the sandbox's own
            walls += ["--perms", "1777", "--size", room, "--tmpfs", each]
        walls += ["--remount-ro", "/dev", "--ro-bind", place.file, file]
        if given is None:
            walls += ["--perms", "0777", "--size", room, "--tmpfs", WORKSPACE]
        else:
            walls += ["--bind", str(Path(given).absolute()), WORKSPACE, *_owning(place.user)]
        home = WORKSPACE if given is None else "/tmp"  # noqa: S108
        variables = {"PATH": SEARCHED, "HOME": home, "TMPDIR": "/tmp", "LANG": "C.UTF-8", **job.env}  # noqa: S108
        for name in sorted(variables.keys() - _loader_reads(variables)):
            walls += ["--setenv", name, variables[name]]
        walls += ["--remount-ro", "/", "--chdir", WORKSPACE]
        command = [self._bwrap, "--args", "3", "--"]
        command += _inner(place.user, job.limits.processes, over_files=given is not None)
        if late := _loader_reads(variables):
            command += [_program("env"), *(f"{name}={variables[name]}" for name in sorted(late))]
        command += interpreter.command(file, job.limits.memory_bytes)
        orders = orders_for(job, interpreter, place, command)
        if place.user is None:  # else its user's other processes are counted as well
            orders["limits"] = [each for each in orders["limits"] if each[0] != resource.RLIMIT_NPROC]
        orders["told"] = b"".join(os.fsencode(each) + b"\0" for each in walls)
        return orders


def why_not() -> str | None:
    """Why bubblewrap cannot be used here; None: it can. It is tried once, or until this machine has room to try it."""
    try:
        return _verdict()
    except (OSError, subprocess.SubprocessError) as error:
        return f"bubblewrap does not work here: {error}"


@functools.cache
def _verdict() -> str | None:
    """Why bubblewrap cannot be used here; None: it can.

    Raises:
        OSError: It could not be tried just now.
        subprocess.SubprocessError: It took too long.
    """
    try:
        _program("bwrap")
    except FileNotFoundError:
        return f"bubblewrap is not installed: {ADVICE}"
    try:
        user = unused_user()
        command = [_program("bwrap"), *_walls((), user), "--", *_inner(user, 64, over_files=False), _program("true")]
        subprocess.run(  # noqa: S603 - a program of the system
            command, env={}, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=True
        )
    except FileNotFoundError as error:
        return f"bubblewrap cannot be used: {error}"
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip() or f"it ended with {error.returncode}"
        return f"bubblewrap does not work here, as this system or the container around it forbids it: {said}"
    return None


def _walls(folders: tuple[str, ...], user: int | None) -> list[str]:
    """What the sandbox keeps out, and what of the system it shows."""
    apart = ["pid", "ipc", "uts", "net"]
    walls = ["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL", "--unshare-cgroup-try"]
    if user is None:
        apart.append("user")
        walls += _no_more_namespaces()
    else:  # to become that user, and to keep nothing when it has
        walls += [word for each in ("SETUID", "SETGID", "SETPCAP") for word in ("--cap-add", f"CAP_{each}")]
    walls += [f"--unshare-{each}" for each in apart]
    for each in _SYSTEM:
        if Path(each).is_symlink():
            walls += ["--symlink", os.readlink(each), each]  # noqa: PTH115
        elif Path(each).exists():
            walls += ["--ro-bind", each, each]
    for each in (*_CONFIGURATION, *folders, f"{CODE}/main"):
        for parent in reversed(Path(each).parents[:-1]):  # else they would be closed to all but root
            walls += ["--perms", "0755", "--dir", str(parent)]
    for each in _CONFIGURATION:
        walls += ["--ro-bind-try", each, each]
    for each in folders:
        walls += ["--ro-bind", each, each]
    return [*walls, "--proc", "/proc", "--dev", "/dev"]


def _owning(user: int | None) -> list[str]:
    """Lets root's run use files that are not its user's."""
    return [] if user is None else ["--cap-add", "CAP_DAC_OVERRIDE", "--cap-add", "CAP_FOWNER"]


def _inner(user: int | None, processes: int, *, over_files: bool) -> list[str]:
    """The first command in the sandbox: it takes the user id, or limits the processes, and executes the rest."""
    if user is None:
        return [_program("prlimit"), f"--nproc={processes}:{processes}"]
    kept = "-all,+dac_override,+fowner" if over_files else "-all"
    return [
        _program("setpriv"), f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs",
        f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}",
    ]  # fmt: skip


def _loader_reads(variables: Mapping[str, str]) -> set[str]:
    """The names of those variables that must not be seen by programs which still have privileges."""
    return {each for each in variables if each in _UNSAFE or each.startswith(("LD_", "GLIBC_", "MALLOC_"))}


@functools.cache
def _no_more_namespaces() -> tuple[str, ...]:
    """Keeps the code from making user namespaces, where bubblewrap knows how."""
    said = subprocess.run(  # noqa: S603 - a program of the system
        [_program("bwrap"), "--help"], capture_output=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL
    )
    return ("--disable-userns",) if b"--disable-userns" in said.stdout + said.stderr else ()


@functools.cache
def _program(name: str) -> str:
    """Where the system's program *name* is.

    Raises:
        FileNotFoundError: It is not there.
    """
    found = shutil.which(name, path=SEARCHED)
    if found is None:
        raise FileNotFoundError(f"the program {name} is missing; it comes with your system's packages")
    return found
