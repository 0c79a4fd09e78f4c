"""A little server of the page for its tests: the files as they are, and figures that a test changes."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pyresilience.http import files


class PageServer:
    """Serves the page under a prefix.

    `figures` is what stats.json says: a dict, or a function of the window that was asked for (None: all the time).
    `stop()` and `start()` close the port and open the same one again.
    """

    def __init__(self, prefix="", figures=None):
        self.prefix = prefix
        self.figures = figures
        self.status = 200
        self.raw = None
        self.paths = []
        self._port = 0
        self._server = None

    @property
    def url(self):
        """The address of the page."""
        return f"http://127.0.0.1:{self._port}{self.prefix}/"

    def start(self):
        """Open the port."""
        self._server = _Listener(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self):
        """Close the port: from now on nobody is there."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def answer(self, path):
        """(status, media type, body) for a path with its query."""
        self.paths.append(path)
        parts = urlsplit(path)
        if not parts.path.startswith(f"{self.prefix}/"):
            return 404, "text/plain", b"not below the prefix"
        name = parts.path.removeprefix(f"{self.prefix}/")
        if name == "stats.json":
            window = parse_qs(parts.query).get("window")
            figures = self.figures(int(window[0]) if window else None) if callable(self.figures) else self.figures
            return self.status, "application/json", json.dumps(figures).encode() if self.raw is None else self.raw
        file = files.shipped().get(name.removeprefix("page/") if name else files.INDEX)
        if file is None or (name and not name.startswith("page/")):
            return 404, "text/plain", b"no such file"
        return 200, file.kind, file.content


class _Listener(ThreadingHTTPServer):
    block_on_close = True
    daemon_threads = False


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self):
            status, kind, body = server.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", files.POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # a page that was left no longer listens
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
