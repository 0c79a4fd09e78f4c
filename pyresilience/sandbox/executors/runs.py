"""A run, as this process sees it: a supervisor, two outputs, and a line to talk on."""

from __future__ import annotations

import marshal
import os
import select
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..._log import log
from ..job import Execution
from ..languages import base_python
from .launch.orders import Orders, Report
from .launch.removal import remove
from .output import Output
from .strays import end_strays

GRACE = 15.0
"""Seconds after its time by which a supervisor must have ended everything; it is killed then."""
REPORT = 16 * 1024
"""Bytes that a supervisor's report has at most; it is written in one piece."""
TIMED_OUT, KILLED = 124, 137
_BEGIN = "import sys; sys.path.append(sys.argv[1]); from launch.supervise import main; main(int(sys.argv[2]))"


class Run:
    """A run that was started.

    Args:
        orders: What the supervisor is to do.
        output_bytes: Bytes of each output that are kept.
        ended: Called when it has ended; again if an interrupt came in the middle of that.

    Raises:
        OSError: The system gives no more processes or files.
    """

    def __init__(self, orders: Orders, output_bytes: int, ended: Callable[[Run], object]) -> None:
        self._orders = orders
        self._told_ended = ended
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._attended = self._killed = False
        self._said, self._heard = bytearray(REPORT), 0
        self._execution: Execution | None = None
        self._failure: OSError | None = None
        self._deadline = time.monotonic() + orders["timeout"] + GRACE
        self._line, theirs = socket.socketpair()
        try:
            self._supervisor = _supervise(marshal.dumps({**orders}), theirs)
        except BaseException:
            self._line.close()
            raise
        finally:
            theirs.close()
        assert self._supervisor.stdout is not None
        assert self._supervisor.stderr is not None
        self._stdout = Output("stdout", os.dup(self._supervisor.stdout.fileno()), output_bytes)
        self._stderr = Output("stderr", os.dup(self._supervisor.stderr.fileno()), output_bytes)
        self._supervisor.stdout.close()
        self._supervisor.stderr.close()

    def wait(self) -> Execution:
        """Block until it has ended, was killed or ran out of time; see `Running`."""
        while not self._over.is_set():
            if not self._see_to_its_end():
                self._over.wait(0.05)  # another thread reads; should that be interrupted, this one goes on
        if self._failure is not None:
            raise OSError(self._failure.errno, self._failure.strerror)
        assert self._execution is not None
        return self._execution

    def kill(self) -> None:
        """End it now; see `Running`."""
        with self._lock:
            if self._over.is_set():
                return
            self._killed = True
            self._hang_up()
        self._see_to_its_end()

    def let_go(self) -> None:
        """In a forked child: it is the parent's run, and nothing of it is to be touched here."""
        self._lock = threading.RLock()
        self._supervisor.returncode = 0
        self._line.close()
        for each in (self._stdout, self._stderr):
            each.close(0)  # what is in the pipes is the parent's to read
        self._failure = OSError(0, "this run belongs to the process that this one was forked from")
        self._over = threading.Event()
        self._over.set()

    def _hang_up(self) -> None:
        """Let the supervisor hear that nobody wants the run any more."""
        try:
            self._line.shutdown(socket.SHUT_WR)
        except OSError:  # it has ended already
            pass

    def _see_to_its_end(self) -> bool:
        """Read until it has ended, unless another thread does, or this one in a frame above."""
        mine = False
        try:
            with self._lock:
                if self._attended or self._over.is_set():
                    return False
                self._attended = mine = True
            self._read()
            self._conclude()
        finally:
            if mine:  # also when an interrupt came right behind the lock
                self._attended = False
        return True

    def _read(self) -> None:
        """Take what it prints, until the supervisor has ended."""
        if self._line.fileno() < 0:  # that was read before, and an interrupt came while it was said how it ended
            return
        watched = select.poll()
        readers: dict[int, Output] = {each.file: each for each in (self._stdout, self._stderr) if each.open}
        for file in (*readers, self._line.fileno()):
            watched.register(file, select.POLLIN)
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                self._supervisor.kill()
                return
            for file, _ in watched.poll(min(left, 3600.0) * 1000 + 1):
                output = readers.get(file)
                if output is None:
                    if not self._listen():
                        return
                elif not output.read() and not output.open:
                    watched.unregister(file)

    def _listen(self) -> bool:
        """Hear some of the report, which an interrupt does not take away again; False: that was all."""
        try:
            heard = self._line.recv_into(memoryview(self._said)[self._heard :])
        except ConnectionError:
            return False
        self._heard += heard
        return heard > 0

    def _conclude(self) -> None:
        """Say how it ended."""
        self._supervisor.wait()
        try:
            report: Report | None = marshal.loads(self._said)  # noqa: S302 - from our own supervisor
        except (EOFError, ValueError, TypeError):
            report = None
        if report is None:
            self._clean_up()
        elif report["left"] is not None:
            log().warning("a directory of the sandbox could not be removed: %s", report["left"])
        with self._lock:
            self._close()
            if report is not None and report["error"] is not None and not self._killed:
                number, text = report["error"]
                self._failure = OSError(number, f"{self._orders['command'][0]} could not be run: {text}")
            self._execution = self._outcome(report)
        self._told_ended(self)
        self._over.set()

    def _outcome(self, report: Report | None) -> Execution:
        seconds = report["seconds"] if report is not None else self._orders["timeout"] + GRACE - self._left()
        timed_out = report["timed_out"] if report is not None else self._left() <= GRACE and not self._killed
        status = report["status"] if report is not None else None
        if timed_out:
            code = TIMED_OUT
        elif status is None:
            code = KILLED
        else:
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code
        cut = self._stdout.cut or self._stderr.cut
        return Execution(code, self._stdout.text(), self._stderr.text(), seconds, timed_out, cut)

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _clean_up(self) -> None:
        """The supervisor was killed itself: do what it would have done, as far as it can be done from here."""
        directory = self._orders["directory"]
        end_strays(Path(directory).name)
        try:
            remove(directory)
        except OSError as error:
            log().warning("a directory of the sandbox could not be removed: %s", error)

    def _close(self) -> None:
        self._line.close()
        self._stdout.close()
        self._stderr.close()


def _supervise(orders: bytes, line: socket.socket) -> subprocess.Popen[bytes]:
    """Start a supervisor with *orders* and its end of the *line*."""
    here = str(Path(__file__).parent)
    library = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PYTHONHOME") if name in os.environ}
    with tempfile.TemporaryFile() as file:
        file.write(orders)
        file.flush()
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [base_python(), "-I", "-S", "-c", _BEGIN, here, str(line.fileno())],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=(line.fileno(),),
            cwd="/",
            env=library,
            start_new_session=True,
        )
