"""Work that is done again and again in a thread of its own."""

from __future__ import annotations

import threading
import time

import pytest

from pyresilience._every import Every


class Counter:
    """An action that counts, and does what it is told on the way."""

    def __init__(self, then=lambda count: None):
        self.count, self._then, self.threads = 0, then, []
        self.reached = threading.Event()

    def __call__(self):
        self.count += 1
        self.threads.append(threading.current_thread())
        if self.count >= 3:
            self.reached.set()
        self._then(self.count)


def alive(name):
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_it_goes_on_until_it_is_stopped():
    """The action runs again and again in a daemon thread of that name, and once more at the end."""
    action = Counter()
    every = Every(0.001, action, "beat")
    every.start()
    assert every.running
    (thread,) = alive("beat")
    assert thread.daemon
    assert action.reached.wait(20)
    every.stop()
    assert not every.running
    assert not thread.is_alive()
    assert action.threads[-1] is threading.current_thread()
    assert set(action.threads[:-1]) == {thread}


def test_nothing_at_once():
    """The first time is after so many seconds; stopping before does it once, in the caller's thread."""
    action = Counter()
    every = Every(3600, action, "slow")
    every.start()
    assert action.count == 0
    every.stop()
    assert alive("slow") == []  # it was woken, and not given up after a while
    assert action.threads == [threading.current_thread()]


def test_twice_is_once():
    """Starting twice starts one thread; stopping twice ends it and does the action once; never started: not at all."""
    action = Counter()
    every = Every(3600, action, "once")
    every.stop()
    assert action.count == 0
    every.start()
    every.start()
    assert len(alive("once")) == 1
    every.stop()
    every.stop()
    assert (action.count, alive("once")) == (1, [])


def test_it_starts_again():
    """After the end it can begin anew, as often as one likes."""
    action = Counter()
    every = Every(0.001, action, "again")
    for _ in range(3):
        before = action.count
        every.start()
        while action.count < before + 2:
            time.sleep(0.001)
        every.stop()
        assert not every.running
    assert alive("again") == []


def test_an_action_that_fails(caplog):
    """It is logged once and tried again; the last one at the end may fail as well."""

    def fail(count):
        raise OSError("upstream")

    action = Counter(fail)
    every = Every(0.001, action, "failing exporter")
    every.start()
    assert action.reached.wait(20)
    every.stop()
    (record,) = caplog.records
    assert "failing exporter" in record.getMessage()
    assert record.exc_info[0] is OSError


def test_it_may_stop_itself():
    """`stop()` inside the action ends it, and does not wait for itself."""
    done = threading.Event()

    def stop(count):
        if count == 2:
            every.stop()
            done.set()

    action = Counter(stop)
    every = Every(0.001, action, "suicidal")
    every.start()
    assert done.wait(20)
    thread = action.threads[0]
    thread.join(20)
    assert not thread.is_alive()
    assert not every.running
    assert action.count == 3


def test_stopping_from_many_threads():
    """Many that stop at once end it once."""
    action = Counter()
    every = Every(3600, action, "crowded")
    every.start()
    threads = [threading.Thread(target=every.stop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert action.count == 1
    assert not every.running
    assert alive("crowded") == []


@pytest.mark.parametrize("ending", ["", "every.stop()", "sys.exit()"])
def test_a_process_ends_although_it_runs(script, ending):
    """It keeps nobody from leaving."""
    assert script(f"""
import sys
from pyresilience._every import Every
every = Every(0.001, lambda: None, "beat")
every.start()
print("leaving", flush=True)
{ending}
""") == ["leaving"]


def test_a_child_begins_anew(script):
    """In a forked child nothing runs, `stop()` does nothing, and `start()` begins there."""
    assert script("""
import os, threading, time
from pyresilience._every import Every
beats = []
every = Every(0.001, lambda: beats.append(os.getpid()), "beat")
every.start()
while not beats: time.sleep(0.001)
pid = os.fork()
if pid == 0:
    print(every.running, threading.active_count(), flush=True)
    count = len(beats)
    every.stop()
    print(len(beats) - count, flush=True)
    every.start()
    while os.getpid() not in beats: time.sleep(0.001)
    every.stop()
    print(every.running, flush=True)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), every.running)
every.stop()
""") == ["False", "1", "0", "False", "0", "True"]
