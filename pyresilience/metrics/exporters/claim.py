"""The right to write a file, which one at a time has, in all processes of a machine."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


class Claim:
    """A file beside the one it is about, locked as long as the claim is held. The system frees it if its process dies."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._path: Path | None = None

    @property
    def is_held(self) -> bool:
        """Whether this one has it."""
        return self._descriptor is not None

    def take(self, path: Path) -> None:
        """Claim *path*; held already: do nothing.

        Raises:
            BlockingIOError: Another one has it; the error says which process.
            OSError: The directory cannot be written to.
        """
        beside = path.with_name(f"{path.name}.lock")
        while self._descriptor is None:
            descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
            try:
                _lock(descriptor, path)
                if _is(descriptor, beside):
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, f"{os.getpid()}\n".encode())
                    self._descriptor, self._path = descriptor, beside
            finally:
                if self._descriptor is None:
                    os.close(descriptor)

    def drop(self) -> None:
        """Give it up."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None and self._path is not None:
            with suppress(OSError):  # Windows removes no open file: then it stays, and nobody holds it
                self._path.unlink()
            os.close(descriptor)

    def abandon(self) -> None:
        """In a forked child: it is the parent's, who keeps it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _is(descriptor: int, path: Path) -> bool:
    """Whether that is still the file at *path*, and was not removed by one who just gave it up."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, path: Path) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not isinstance(error, (BlockingIOError, PermissionError)):
            raise
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() if hasattr(os, "pread") else ""
        raise BlockingIOError(
            error.errno,
            f"process {holder or 'unknown'} writes this file; give each process one of its own, such as "
            "metrics-{pid}.json, or wait until that one ends",
            str(path),
        ) from None
