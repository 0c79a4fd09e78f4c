"""What a run prints, as far as it is kept."""

from __future__ import annotations

import codecs
import os

CHUNK = 65536


class Output:
    """One of the two outputs of a run. What is beyond its limit is read all the same, so that the program can go on.

    Args:
        name: What it is called.
        file: The end of the pipe to read from; it is closed by `close()`.
        limit: Bytes that are kept.
    """

    def __init__(self, name: str, file: int, limit: int) -> None:
        os.set_blocking(file, False)
        self.file = file
        self.open = True
        self._name = name
        self._limit = limit
        self._kept = bytearray()
        self._dropped = 0

    @property
    def cut(self) -> bool:
        """Whether it was longer than its limit."""
        return self._dropped > 0

    def read(self) -> bool:
        """Read some of what is there; False: nothing is there."""
        try:
            chunk = os.read(self.file, CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self.open = False
            return False
        room = max(0, self._limit - len(self._kept))
        self._kept += chunk[:room]
        self._dropped += max(0, len(chunk) - room)
        return True

    def close(self, most: int = 64) -> None:
        """Read what is left in the pipe, at most so many chunks, and close it."""
        while self.open and most > 0 and self.read():
            most -= 1
        file, self.file, self.open = self.file, -1, False
        if file >= 0:
            os.close(file)

    def text(self) -> str:
        """All that is kept; bytes that are no UTF-8 are replaced, and a last line says so when it was cut."""
        if not self.cut:
            return self._kept.decode("utf-8", "replace")
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(
            bytes(self._kept)
        )  # no half character at the end
        line_end = "" if text.endswith("\n") or not text else "\n"
        return f"{text}{line_end}[{self._name} cut after {self._limit} bytes, {self._dropped} more were thrown away]\n"
