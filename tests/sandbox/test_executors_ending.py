"""How runs end, and are ended: by time, by a call, by Ctrl-C, with their executor, with this process."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

pytest.register_assert_rewrite("executor_contract")

from executor_contract import (  # noqa: E402 - pytest must know of it first
    PATIENCE,
    children,
    given,
    lab,
    open_files,
    processes_with,
    until,
)
from interrupting import interrupt  # noqa: E402

from pyresilience.sandbox.errors import SandboxClosedError  # noqa: E402

__all__ = ["given", "lab"]

SLEEP = "import time; print('so far', end=''); time.sleep(3600)"


def test_time_is_up(lab):
    """When its time is up it is killed, and what it printed so far is returned."""
    execution, timeout = lab.run_out_of_time(SLEEP)
    assert (execution.exit_code, execution.stdout, execution.timed_out) == (124, "so far", True)
    assert not execution.success
    assert timeout <= execution.seconds < timeout + 15


def test_kill_from_another_thread(lab):
    """A kill ends the wait of another thread, and may be repeated."""
    running = lab.start(SLEEP)
    ends = []
    waiting = threading.Thread(target=lambda: ends.append(running.wait()))
    waiting.start()
    running.kill()
    waiting.join(PATIENCE)
    assert ends[0].exit_code == 137
    assert not ends[0].timed_out
    running.kill()
    assert running.wait() == ends[0]
    lab.is_clean()


def test_kill_without_a_wait(lab):
    """Killing alone cleans up."""
    running = lab.start(SLEEP)
    running.kill()
    lab.is_clean()
    assert not children() & {str(running._supervisor.pid)}


def test_many_wait_for_one(lab):
    """All who wait for a run get its end."""
    running = lab.start("print(1)")
    ends = []
    threads = [threading.Thread(target=lambda: ends.append(running.wait())) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE)
    assert [each.stdout for each in ends] == ["1\n"] * 8


@pytest.mark.parametrize("then", ["kill", "wait"])
def test_an_interrupted_wait(lab, given, then):
    """After Ctrl-C in `wait()`, a `kill()` leaves nothing behind, and another `wait()` goes on."""
    code = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('end')"
    running = lab.start(code, working_dir=given)

    def interrupt():
        until(lambda: running._attended, "the wait")
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        running.wait()
    thread.join()
    if then == "kill":
        running.kill()
        lab.is_clean()
    (given / "go").touch()
    assert running.wait().stdout == ("" if then == "kill" else "end\n")


class Interrupted:
    """A lock that somebody who presses Ctrl-C has just left."""

    def __init__(self, inner):
        self._inner, self._presses = inner, 1

    def __enter__(self):
        return self._inner.__enter__()

    def __exit__(self, *exc_info):
        self._inner.__exit__(*exc_info)
        if self._presses:
            self._presses = 0
            raise KeyboardInterrupt


def test_an_interrupt_anywhere_in_the_wait(lab):
    """Whoever waits again learns how it ended, wherever the one before was interrupted."""
    point, place = 0, ""
    while place is not None:
        point += 1
        running = lab.start("pass")
        place = interrupt(point, running.wait)
        assert running.wait().exit_code == 0, place
        assert running not in lab.executor._runs, place
    assert point > 20
    lab.is_clean()


def test_an_interrupt_before_the_wait_has_begun(lab):
    """The run is not taken for one that another thread reads: `kill()` ends it all the same."""
    running = lab.start(SLEEP)
    running._lock = Interrupted(running._lock)
    with pytest.raises(KeyboardInterrupt):
        running.wait()
    running.kill()
    lab.is_clean()
    assert running.wait().exit_code == 137


def test_kill_in_a_signal_handler_of_the_waiting_thread(lab):
    """A handler that kills while its own thread waits ends the wait."""
    running = lab.start(SLEEP)
    before = signal.signal(signal.SIGALRM, lambda *_: running.kill())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert running.wait().exit_code == 137
    finally:
        signal.signal(signal.SIGALRM, before)


def test_closing_kills_all(lab):
    """`close()` ends what runs, and nothing is started any more."""
    running = [lab.start(SLEEP) for _ in range(4)]
    lab.executor.close()
    lab.is_clean()
    assert {each.wait().exit_code for each in running} == {137}
    with pytest.raises(SandboxClosedError):
        lab.start("pass")


def test_a_thread_that_started_it_may_end(lab):
    """A run does not depend on the thread that started it."""
    started = []
    thread = threading.Thread(target=lambda: started.append(lab.start("import time; time.sleep(0.2); print('end')")))
    thread.start()
    thread.join(PATIENCE)
    assert started[0].wait().stdout == "end\n"


def test_a_killed_supervisor(lab):
    """Should somebody kill the supervisor, the run ends, and nothing is left."""
    running = lab.start("import time; print('up', flush=True); time.sleep(3600)")
    until(lambda: processes_with(lab.mark), "the code")
    os.kill(running._supervisor.pid, signal.SIGKILL)
    assert running.wait().exit_code == 137
    until(lambda: not processes_with(lab.mark), "the end of the code")


def test_a_forked_process_does_not_touch_its_parents_runs(lab):
    """After `os.fork()` the child closes nothing of the parent's, nor reads it, and its own runs work."""
    running = lab.start("print('end')")
    assert select.select([running._stdout.file], [], [], PATIENCE)[0]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            running.kill()
            status = 0 if lab.executor.start(lab.job("print(5)")).wait().stdout == "5\n" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert running.wait().stdout == "end\n"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_server_leaves_nothing(lab, end):
    """When the process that runs code is killed, all its runs end, and their directories are removed."""
    program = f"""
    import sys, tempfile, threading
    tempfile.tempdir = {str(lab.folder)!r}
    from pyresilience.sandbox.executors import {type(lab.executor).__name__} as E
    from pyresilience.sandbox.job import Job, Limits
    e = E()
    job = Job({SLEEP!r}, "python", {{"MARK": {lab.mark!r}}}, None, 3600, Limits())
    runs = [e.start(job) for _ in range(3)]
    print("up", flush=True)
    runs[0].wait()
    """
    server = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    with server:
        assert server.stdout.readline() == b"up\n"
        until(lambda: len(processes_with(lab.mark)) >= 3, "three runs")
        server.send_signal(end)
        server.wait(PATIENCE)
    until(lambda: not processes_with(lab.mark), "the end of the code")
    until(lambda: not list(lab.folder.iterdir()), "the end of the directories")


def test_two_hundred_runs_leave_nothing(lab):
    """No process, no file and no directory remains, run after run, several at once."""
    files = open_files()

    def some():
        for _ in range(50):
            assert lab.start("echo x; sleep 100 & ", "bash").wait().stdout == "x\n"

    threads = [threading.Thread(target=some) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    lab.is_clean()
    assert open_files() <= files
    assert lab.executor._runs == set()
