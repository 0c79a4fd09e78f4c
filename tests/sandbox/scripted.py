"""An executor that runs nothing: it says what it is told to say, when it is told to."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from pyresilience.sandbox import Execution

PATIENCE = 20.0
"""Seconds after which something that must happen is taken to hang."""


def well(job):
    """A run that prints its code."""
    return Execution(0, job.code, "", 1.5)


class ScriptedRun:
    """One run: it ends at once, or if the executor holds it when it is let go, killed or late."""

    def __init__(self, executor, job):
        self.job = job
        self.kills = self.waits = 0
        """How often it was killed, and waited for to the end."""
        self.let_go = threading.Event()
        self._executor = executor

    def wait(self):
        executor = self._executor
        with executor.lock:
            executor.inside += 1
            executor.most = max(executor.most, executor.inside)
        try:
            ended = not executor.holds(self.job) or self.let_go.wait(min(self.job.timeout, PATIENCE))
        finally:
            with executor.lock:
                executor.inside -= 1
        self.waits += 1
        if self.kills:
            return Execution(137, "before", "", 0.1)
        if not ended:
            return Execution(124, "before", "", self.job.timeout, timed_out=True)
        return replace(executor.ends(self.job))

    def kill(self):
        self.kills += 1
        self.let_go.set()


class Scripted:
    """Keeps what it was asked to run; `ends` says how a job ends, `holds` whether it lasts."""

    name = "scripted"

    def __init__(self):
        self.lock = threading.RLock()
        self.jobs, self.runs = [], []
        self.inside = self.most = self.closed = 0
        self.known = {"python": "scripted 1.0", "bash": "scripted 2.0"}
        self.ends, self.holds = well, lambda job: False
        self.fails = None

    def languages(self):
        return self.known

    def start(self, job):
        with self.lock:
            self.jobs.append(job)
            if self.fails is not None:
                raise self.fails
            self.runs.append(ScriptedRun(self, job))
            return self.runs[-1]

    def close(self):
        self.closed += 1
        for run in [*self.runs]:
            run.kill()

    def hold(self):
        """Let every run last from now on."""
        self.holds = lambda job: True

    def release(self):
        """Let all go that is held, and hold nothing any more."""
        self.holds = lambda job: False
        for run in [*self.runs]:
            run.let_go.set()


def until(condition):
    """Wait until *condition* holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.001)
