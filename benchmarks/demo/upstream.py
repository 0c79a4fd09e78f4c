"""A small product service that has its troubles, in a process of its own. Standard library only.

It listens on the loopback interface, on a port the system picks. Its standard input tells it how it fares
(`healthy`, `slow`, `outage`), or asks how it went (`stats`); it answers every line with one line of JSON. When its
input ends, so does it: it cannot outlive the demo, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import sys
import threading

WORKERS = 32
"""Requests it works on at once; more wait in line."""

SLOW = (0.4, 0.8)
"""Seconds that a slow answer takes, from and to."""

HANG = 1.0
"""Seconds that a request hangs in an outage before it fails."""

TROUBLES: dict[str, dict[str, float]] = {
    "healthy": {"busy": 0.02, "reset": 0.01, "slow": 0.01},
    "slow": {"busy": 0.03, "reset": 0.01, "slow": 0.25},
    "outage": {"busy": 0.50, "reset": 0.25, "hang": 0.25},
}
"""Which share of the requests meets which trouble, by phase; the others are answered."""

USUAL = {"healthy": (0.005, 0.020), "slow": (0.020, 0.080), "outage": (0.0, 0.0)}
"""Seconds that a good answer takes, from and to, by phase."""


class Service:
    """Answers `GET /products/<number>`, and counts."""

    def __init__(self, seed: int) -> None:
        self.phase = "healthy"
        self.requests = 0
        self.open = 0
        self.peak = 0
        self._dice = random.Random(seed)
        self._workers = asyncio.Semaphore(WORKERS)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, which carries one request."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await self._serve(head.split(b" ", 2)[1].decode("ascii"), writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            return  # the client has left
        finally:
            writer.close()

    async def _serve(self, path: str, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            async with self._workers:
                await self._answer(path, writer)
        finally:
            self.open -= 1

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        phase, trouble = self.phase, self._trouble()
        if trouble == "reset":
            _reset(writer)
        elif trouble == "busy":
            _reply(writer, 503, {"error": "try again later"})
        elif trouble == "hang":
            await asyncio.sleep(HANG)
            _reset(writer)
        else:
            await asyncio.sleep(self._dice.uniform(*(SLOW if trouble == "slow" else USUAL[phase])))
            _reply(writer, 200, _product(int(path.rsplit("/", 1)[1])))

    def _trouble(self) -> str | None:
        point = self._dice.random()
        for trouble, share in TROUBLES[self.phase].items():
            point -= share
            if point < 0:
                return trouble
        return None

    def stats(self) -> dict[str, int]:
        """Requests so far, and the most that were open at once."""
        return {"requests": self.requests, "peak": self.peak}


def _product(number: int) -> dict[str, object]:
    return {"number": number, "name": f"Product {number}", "price": 5 + number % 95}


def _reply(writer: asyncio.StreamWriter, status: int, document: dict[str, object]) -> None:
    body = json.dumps(document).encode()
    reason = "OK" if status == 200 else "Service Unavailable"
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection off without a word: closing with a linger time of 0 sends a reset."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _obey(service: Service) -> None:
    """Follow what the standard input says until it ends."""
    for line in sys.stdin:
        word = line.strip()
        if word in TROUBLES:
            service.phase = word
        print(json.dumps(service.stats()), flush=True)
    os._exit(0)


async def main(seed: int) -> None:
    """Serve until the standard input ends."""
    service = Service(seed)
    server = await asyncio.start_server(service.connected, "127.0.0.1", 0, backlog=512)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    threading.Thread(target=_obey, args=(service,), daemon=True).start()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(seed=int(sys.argv[1]) if len(sys.argv) > 1 else 0))
