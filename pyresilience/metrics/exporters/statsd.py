"""For StatsD and DogStatsD: datagrams of lines, by UDP."""

from __future__ import annotations

import errno
import math
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..._log import log
from ..._settings import require
from ..._typing import Duration
from ..families import Metric, Point
from ..latencies import Latencies
from .durations import durations
from .labels import UNNAMED, bounded
from .sending import SendingExporter

TAG = 200
"""Characters of a tag, its key included; Datadog cuts longer ones off."""
LEVEL = 200
"""Characters of a label in a plain StatsD name; Graphite makes a file name of it."""
AGAIN = 60.0
"""Seconds after which the host's name is looked up again."""

_NAME = re.compile(r"[A-Za-z0-9_.-]*")
_KEY = re.compile(r"[A-Za-z][\w./-]*")
_UNFIT_IN_TAG = re.compile(r"[^\w./<>()\[\]-]")
_UNFIT_IN_NAME = re.compile(r"[^A-Za-z0-9_-]")


class StatsDExporter(SendingExporter[bytes]):
    """Sends the metrics to a StatsD daemon: what was counted since the last time, and gauges as they are.

    As a DogStatsD client (the default) it puts labels into tags and sends durations as distributions, in seconds. For a
    plain daemon labels become parts of the name, and durations timers, in milliseconds. Of a histogram it sends one
    line per bucket, with the sample rate that makes the daemon count as many as there were. Where the name stands for
    several addresses, one of IPv4 is taken.

    Args:
        host: The daemon's name or address. It is looked up at the start and once a minute.
        port: Its UDP port.
        interval: Seconds between two sendings.
        prefix: What names begin with, before `pyresilience.`; parts are separated by dots.
        tags: Tags of every line, `{"env": "prod"}` or `["env:prod"]`; for DogStatsD alone.
        dogstatsd: False: for a plain StatsD daemon.
        max_datagram: Bytes of a datagram. The default fits into a packet of most networks; for a daemon on this
            machine, up to 8192 will do.

    Raises:
        TypeError: A setting is of another type.
        ValueError: A setting is out of its bounds, or a tag is none.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8125,
        interval: Duration = 10.0,
        *,
        prefix: str = "",
        tags: Mapping[str, str] | Iterable[str] = (),
        dogstatsd: bool = True,
        max_datagram: int = 1432,
    ) -> None:
        self.host = _host(host)
        self.port = port
        require(self, "port", whole=True, at_least=1, at_most=65535)
        self.max_datagram = max_datagram
        require(self, "max_datagram", whole=True, at_least=1, at_most=65507)
        self._prefix = _prefix(prefix)
        self._tags = _constant_tags(tags)
        if self._tags and not dogstatsd:
            raise ValueError("plain StatsD knows no tags: leave dogstatsd=True, or put what they say into prefix=")
        self._dogstatsd = dogstatsd
        self._has_dropped = False
        self._socket: socket.socket | None = None
        self._address: Any = None
        self._looked_up = -math.inf
        super().__init__(interval, "statsd")

    def renew(self) -> None:
        """A forked child has a socket of its own."""
        super().renew()
        self._close()

    def start(self) -> None:
        """Begin to send; begun already: do nothing. A host that is not known is looked up again at each sending."""
        with self._turn:
            if self._socket is None:
                try:
                    self._look_up()
                except OSError as error:
                    self._complain(error)
        super().start()

    def stop(self) -> None:
        """Send once more, and end; ended already: do nothing."""
        super().stop()
        with self._turn:
            self._close()

    def _messages(self, gains: list[tuple[Metric, list[Point]]]) -> Iterator[bytes]:
        datagram = b""
        for line in self._lines(gains):
            if datagram and len(datagram) + 1 + len(line) > self.max_datagram:
                yield datagram
                datagram = b""
            datagram = datagram + b"\n" + line if datagram else line
        if datagram:
            yield datagram

    def _lines(self, gains: list[tuple[Metric, list[Point]]]) -> Iterator[bytes]:
        for metric, points in gains:
            for point in points:
                name, tags = self._names(metric, point.labels)
                for value in self._values(metric, point.value):
                    line = f"{name}:{value}{tags}".encode()
                    if len(line) <= self.max_datagram:
                        yield line
                    else:
                        self._drop(line, f"a line of {len(line)} bytes is longer than max_datagram={self.max_datagram}")

    def _values(self, metric: Metric, value: float | Latencies) -> Iterator[str]:
        if isinstance(value, Latencies):
            unit, factor = ("d", 1.0) if self._dogstatsd else ("ms", 1000.0)
            for seconds, count in durations(value):
                yield f"{_number(seconds * factor)}|{unit}{_rate(count)}"
        elif metric.kind == "gauge":
            yield f"{_number(value)}|g"
        elif value:
            yield f"{_number(value)}|c"

    def _names(self, metric: Metric, labels: tuple[str, ...]) -> tuple[str, str]:
        """The name of a line, and its tags."""
        if not self._dogstatsd:
            parts = [bounded(_UNFIT_IN_NAME.sub("_", label), LEVEL) or UNNAMED for label in labels]
            return ".".join([self._prefix + metric.dotted, *parts]).replace("~", "_"), ""
        tags = [_tag(key, label) for key, label in zip(metric.labels, labels, strict=True)]
        return self._prefix + metric.dotted, f"|#{','.join([*tags, *self._tags])}"

    def _send(self, message: bytes) -> None:
        if time.monotonic() - self._looked_up >= AGAIN:
            self._look_up()
        assert self._socket is not None
        try:
            self._socket.sendto(message, self._address)
        except OSError as error:
            self._looked_up = -math.inf  # the host may live elsewhere now
            if error.errno != errno.EMSGSIZE:
                raise
            self._drop(message, f"the system sends no datagram of {len(message)} bytes, give a smaller max_datagram")

    def _drop(self, message: bytes, why: str) -> None:
        if not self._has_dropped:
            self._has_dropped = True
            log().warning("StatsDExporter: not sent, and this is logged once: %s: %.60r…", why, message.decode())

    def _look_up(self) -> None:
        """Find the host, and open a socket to reach it; what was known stays if nothing is found now."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
        except OSError as error:
            if self._socket is None:
                raise OSError(error.errno, f"{error.strerror}: {self.host}") from error
        else:
            family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
            if self._socket is None or self._socket.family != family:
                self._close()
                self._socket = socket.socket(family, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._address = address
        self._looked_up = time.monotonic()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._looked_up = None, -math.inf


def _number(value: float) -> str:
    """*value* without an exponent, which not every daemon reads."""
    return f"{value:.12f}".rstrip("0").rstrip(".")


def _rate(count: int) -> str:
    """The sample rate of a line that stands for *count*: also who rounds its inverse down gets *count*."""
    if count == 1:
        return ""
    rate = 1 / count
    while 1 / rate < count:
        rate = math.nextafter(rate, 0)
    return f"|@{rate:.{17 + len(str(count))}f}"


def _tag(key: str, value: str) -> str:
    return f"{key}:{bounded(_UNFIT_IN_TAG.sub('_', value), TAG - len(key) - 1) or UNNAMED}"


def _host(host: str) -> str:
    if not isinstance(host, str):
        raise TypeError(f"host must be a name or an address, got {host!r}")
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise ValueError(f"host must be a name or an address, got {host!r}: {error}") from None
    if not host or any(char <= " " for char in host):
        raise ValueError(f"host must be a name or an address, got {host!r}")
    return host


def _prefix(prefix: str) -> str:
    if not isinstance(prefix, str):
        raise TypeError(f"prefix must be text, got {prefix!r}")
    if not _NAME.fullmatch(prefix) or len(prefix) > TAG // 2:
        raise ValueError(
            f"prefix must be at most {TAG // 2} letters, digits, dots, underscores and hyphens, got {prefix!r}"
        )
    return f"{prefix.rstrip('.')}." if prefix else ""


def _constant_tags(tags: Mapping[str, str] | Iterable[str]) -> list[str]:
    if isinstance(tags, (str, bytes)):
        raise TypeError(f"tags must be a mapping or a sequence of 'key:value', got {tags!r}")
    pairs = tags.items() if isinstance(tags, Mapping) else [str(tag).partition(":")[::2] for tag in tags]
    found = []
    for key, value in pairs:
        if not (isinstance(key, str) and _KEY.fullmatch(key) and len(key) <= TAG // 2 and str(value)):
            raise ValueError(f"a tag must be a 'key:value' whose key begins with a letter, got {key!r}: {value!r}")
        found.append(_tag(key, str(value)))
    return found
