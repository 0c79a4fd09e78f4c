"""Clients that begin a request must end its head in time."""

from __future__ import annotations

from typing import Any

HEAD_SECONDS = 15.0
"""Seconds within which the head of a request must have arrived, from the connection or its first byte on."""


def punctual(seconds: float = HEAD_SECONDS) -> type[Any]:
    """The HTTP/1.1 protocol of uvicorn, which knows no such limit, with one.

    Args:
        seconds: Within which the head of a request must have arrived.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    return type("Punctual", (_Limit, H11Protocol), {"seconds": seconds})


class _Limit:
    """Goes before the protocol in its bases."""

    seconds: float
    loop: Any
    transport: Any
    cycle: Any
    _late: Any = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc] # the protocol has it
        self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc] # the protocol has it
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_no_more()
        super().connection_lost(exc)  # type: ignore[misc] # the protocol has it

    def _expect(self) -> None:
        """Begin to wait for a head, unless one has come; a head in pieces gets no more time for each piece."""
        if self._under_way():
            self._expect_no_more()
        elif self._late is None:
            self._late = self.loop.call_later(self.seconds, self._see_out)

    def _expect_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _see_out(self) -> None:
        self._late = None
        if not self._under_way():
            self.transport.close()

    def _under_way(self) -> bool:
        """Whether a head has come, and its answer has not gone yet."""
        return self.cycle is not None and not self.cycle.response_complete
