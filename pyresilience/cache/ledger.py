"""Why results are not there: the latest departures, each with the hash of its key, never the key itself. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress

LINES = 1024
"""Departures that are remembered."""


class Line:
    """One departure."""

    __slots__ = ("detail", "digest", "reason")

    def __init__(self, digest: int, reason: str, detail: str) -> None:
        self.digest = digest
        self.reason = reason
        self.detail = detail


class Ledger:
    """The departures of one cache. Writing and reading are single steps, so that neither needs a lock."""

    __slots__ = ("_lines", "note_eviction")

    def __init__(self) -> None:
        self._lines: deque[int | Line] = deque(maxlen=LINES)
        self.note_eviction: Callable[[int], None] = self._lines.append
        """The result of a key of that hash has gone for want of room: this happens most often, so it is one step."""

    def note(self, key: Hashable, reason: str, detail: str = "") -> None:
        """The result of *key* has gone, or was not kept; what cannot be hashed any more is not remembered."""
        with suppress(Exception):  # it is the user's own __hash__
            self._lines.append(Line(hash(key), reason, detail))

    def last(self, key: Hashable) -> Line | None:
        """The latest departure of *key*; None: none is remembered."""
        digest = hash(key)
        for line in reversed(self._lines.copy()):
            if isinstance(line, Line):
                if line.digest == digest:
                    return line
            elif line == digest:
                return Line(digest, "evicted", "")
        return None
