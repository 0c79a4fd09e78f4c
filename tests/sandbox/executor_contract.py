"""What every executor keeps, and a laboratory to see it from outside: nothing may be left behind."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

from pyresilience.sandbox.executors import BubblewrapExecutor, SubprocessExecutor
from pyresilience.sandbox.executors.bubblewrap import why_not
from pyresilience.sandbox.job import Job, Limits

PATIENCE = 20.0
"""Seconds after which something that must happen is taken to hang."""
MIB = 1024 * 1024


def until(condition, what="it"):
    """Wait until *condition* holds, and return what it gave."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} never came about"
        time.sleep(0.01)
    return found


def processes_with(mark):
    """The living processes that have *mark* in their command line or environment."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            seen = (each / "cmdline").read_bytes() + (each / "environ").read_bytes()
            alive = (each / "stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
        except OSError:
            continue
        if alive and mark.encode() in seen and int(each.name) != os.getpid():
            found.append(int(each.name))
    return found


def children():
    """The child processes of this one, dead or alive."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        found.update((task / "children").read_text().split())
    return found


def open_files():
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Laboratory:
    """An executor, and what it leaves behind."""

    def __init__(self, executor, folder):
        self.executor = executor
        self.folder = folder
        self.mark = secrets.token_hex(8)

    def job(self, code, language="python", *, env=None, timeout=PATIENCE, working_dir=None, **limits):
        """A job whose processes can be found by their mark."""
        return Job(code, language, {"MARK": self.mark, **(env or {})}, working_dir, timeout, Limits(**limits))

    def start(self, *args, **kwargs):
        """Begin to run code."""
        return self.executor.start(self.job(*args, **kwargs))

    def run(self, *args, **kwargs):
        """Run code, and see that nothing of it is left when it has ended."""
        execution = self.start(*args, **kwargs).wait()
        self.is_clean()
        return execution

    def run_out_of_time(self, code, **kwargs):
        """Run code that never ends for so long that it has come to print something; that, and how long it had."""
        for timeout in (1.5, 6, PATIENCE):
            execution = self.run(code, timeout=timeout, **kwargs)
            if execution.stdout:
                break
        return execution, timeout

    def run_until_up(self, code, *args, **kwargs):
        """Run code that never ends until it has made the file `up` in a given directory; then kill it."""
        running = self.start(code, *args, **kwargs)
        waiting = threading.Thread(target=running.wait)
        waiting.start()
        until((kwargs["working_dir"] / "up").exists, "the code")
        running.kill()
        waiting.join(PATIENCE)
        execution = running.wait()
        self.is_clean()
        assert execution.exit_code == 137
        return execution

    def is_clean(self):
        """Nothing is left."""
        assert processes_with(self.mark) == []
        assert processes_with(self.folder.name) == []
        assert list(self.folder.iterdir()) == [], "a directory is left"

    def is_apart(self):
        """Whether the code cannot signal this process: it has another user id, or a world of processes of its own."""
        said = self.run("import os; print(os.getuid(), os.readlink('/proc/self/ns/pid'))").stdout.split()
        return said[0] != str(os.getuid()) or said[1] != str(Path("/proc/self/ns/pid").readlink())


def make(name):
    """An executor; bubblewrap's tests are skipped where it does not work, or fail where it must."""
    if name == "subprocess":
        return SubprocessExecutor()
    if (reason := why_not()) is not None:
        (pytest.fail if os.environ.get("PYRESILIENCE_REQUIRE_SERVERS") == "1" else pytest.skip)(
            f"{reason}: scripts/install-sandbox.sh"
        )
    return BubblewrapExecutor()


@pytest.fixture(params=["subprocess", "bubblewrap"])
def lab(request, monkeypatch, tmp_path):
    """Each executor in turn; after the test nothing may be left of it."""
    executor = make(request.param)
    folder = Path(tempfile.mkdtemp(prefix="laboratory-", dir=tempfile.gettempdir()))
    folder.chmod(0o711)  # as /tmp: everybody may go through
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    executor.languages()
    made = Laboratory(executor, folder)
    files, before = open_files(), children()
    try:
        yield made
        executor.close()
        made.is_clean()
        assert children() <= before
        assert open_files() <= files
    finally:
        executor.close()
        for each in processes_with(made.mark):
            os.kill(each, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def given(tmp_path):
    """A working directory that is given."""
    folder = tmp_path / "given"
    folder.mkdir()
    return folder


def needs(language, lab):
    """Skip where there is no interpreter for *language*."""
    if language not in lab.executor.languages():
        pytest.skip(f"there is no {language} here")
