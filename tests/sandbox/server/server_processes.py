"""A server in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

PATIENCE = 30.0


WITHOUT_BUBBLEWRAP = """
import sys
from importlib import import_module
import_module("pyresilience.sandbox.executors.choose").why_not = lambda: "it is not installed"
from pyresilience.sandbox.server.command import main
sys.exit(main(sys.argv[1:]))
"""


class Served:
    """`python -m pyresilience.sandbox serve` on a port of the system's choice; *plain*: as if bubblewrap were missing."""

    def __init__(self, *arguments, environment=None, plain=False):
        program = ["-c", WITHOUT_BUBBLEWRAP] if plain else ["-m", "pyresilience.sandbox"]
        command = [sys.executable, *program, "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "default", **(environment or {})},
        )
        self.line = self.process.stdout.readline()

    @property
    def url(self):
        """Its address, without a slash at the end."""
        found = re.fullmatch(r"Serving (http://\S+)/\n", self.line)
        assert found, (self.line, self.end())
        return found[1]

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def end(self, number=signal.SIGTERM):
        """Send a signal; the exit code, what else it printed and complained, and how many seconds it took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        return self.process.returncode, out, err, time.monotonic() - began

    def ask(self, method, path, content=None, token=None, **headers):
        """One request; its status, its headers by lower-case name, and what its JSON says."""
        data = None if content is None else json.dumps(content).encode()
        fields = {} if token is None else {"Authorization": f"Bearer {token}"}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(self.url + path, data, {**fields, **headers}, method=method)
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return _told(answer)
        except urllib.error.HTTPError as error:
            with error:
                return _told(error)


def _told(answer):
    body = answer.read()
    is_json = answer.headers.get("Content-Type") == "application/json"
    return (
        answer.status,
        {name.lower(): value for name, value in answer.headers.items()},
        json.loads(body) if is_json else body,
    )


def until(condition, what="it never came about"):
    """Wait until *condition* holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)
