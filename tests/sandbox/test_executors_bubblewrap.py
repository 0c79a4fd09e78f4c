"""What bubblewrap keeps out, and what is said where it is not there."""

from __future__ import annotations

import subprocess
import textwrap

import pytest

pytest.register_assert_rewrite("executor_contract")

from executor_contract import MIB, given, lab  # noqa: E402 - pytest must know of it first

from pyresilience.sandbox.errors import SandboxError  # noqa: E402
from pyresilience.sandbox.executors import BubblewrapExecutor, SubprocessExecutor, bubblewrap, choose  # noqa: E402

__all__ = ["given", "lab"]

behind_walls = pytest.mark.parametrize("lab", ["bubblewrap"], indirect=True)


@behind_walls
def test_files_of_others(lab, tmp_path):
    """It sees no file of this machine but the system's programs."""
    (tmp_path / "secret").write_text("x")
    code = (
        f"import os; print([os.path.exists(n) for n in ({str(tmp_path)!r}, '/etc/passwd', '/home', '/var', '/work')])"
    )
    assert lab.run(code).stdout == f"{[False] * 5}\n"


@behind_walls
@pytest.mark.parametrize("path", ["/usr/x", "/x", "/dev/x", "/code/x", "/proc/sys/kernel/hostname", "/etc/x", "/bin/x"])
def test_the_system_is_read_only(lab, given, path):
    """It changes nothing but its own directories, even where it may use the files of others."""
    for directory in (None, given):
        assert "OSError" in lab.run(f"open({path!r}, 'w')", working_dir=directory).stderr.replace(
            "PermissionError", "OSError"
        )


@behind_walls
def test_the_network(lab):
    """There is no network, not even to this machine."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = lab.run(f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)").stderr
    assert "ConnectionRefusedError" in said
    assert "Network is unreachable" in lab.run("import socket; socket.create_connection(('192.0.2.1', 80), 2)").stderr


@behind_walls
def test_processes_of_others(lab):
    """It sees no processes but its own."""
    assert int(lab.run("import os; print(max(int(n) for n in os.listdir('/proc') if n.isdecimal()))").stdout) < 50


@behind_walls
def test_memory_in_files(lab):
    """Files in memory are limited in sum."""
    code = """
    import os
    for folder in (".", "/tmp", "/dev/shm"):
        total = 0
        try:
            for n in range(100):
                total += open(f"{folder}/{n}", "wb", buffering=0).write(bytes(2 ** 20))
        except OSError as error:
            print(error.strerror, total <= 8 * 2 ** 20)
    """
    assert lab.run(textwrap.dedent(code), file_bytes=4 * MIB).stdout == "No space left on device True\n" * 3


@pytest.fixture
def fresh():
    """What was found out about bubblewrap is forgotten, before and after."""
    caches = (bubblewrap._verdict, bubblewrap._program, bubblewrap._no_more_namespaces)
    for each in caches:
        each.cache_clear()
    yield
    for each in caches:
        each.cache_clear()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (None, "bubblewrap is not installed: .*apt-get install bubblewrap"),
        ("#!/bin/sh\necho 'No permissions to create new namespace' >&2; exit 1", "does not work here.*No permissions"),
    ],
)
def test_without_bubblewrap(fresh, monkeypatch, tmp_path, program, reason):
    """Where it is missing or forbidden, the plain subprocess is chosen, and one can learn why."""
    for name in ("setpriv", "prlimit", "true"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    if program is not None:
        (tmp_path / "bwrap").write_text(program)
        (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setattr(bubblewrap, "SEARCHED", str(tmp_path))
    executor = choose()
    assert type(executor) is SubprocessExecutor
    executor.close()
    with pytest.raises(SandboxError, match=reason):
        BubblewrapExecutor()


@behind_walls
def test_it_is_chosen(lab):
    """Where it works, it is chosen."""
    executor = choose()
    assert type(executor) is BubblewrapExecutor
    executor.close()


@behind_walls
@pytest.mark.parametrize("trouble", [BlockingIOError(11, "try again"), subprocess.TimeoutExpired("bwrap", 20)])
def test_a_moment_without_room_to_try_it_is_not_for_ever(lab, fresh, monkeypatch, trouble):
    """A machine that has no process or file to spare just now says so; the next sandbox has its walls."""

    def run(*_, **__):
        raise trouble

    with monkeypatch.context() as now:
        now.setattr(subprocess, "run", run)
        assert str(trouble) in bubblewrap.why_not()
    assert bubblewrap.why_not() is None


@behind_walls
def test_it_is_tried_once(lab, monkeypatch):
    """Whether it works is found out once per process."""
    monkeypatch.setattr(subprocess, "run", None)
    assert bubblewrap.why_not() is None
