"""Removing a directory, whatever was done to it."""

from __future__ import annotations

import os
import stat

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(top: str) -> None:
    """Remove the directory *top* and all below, however deep, read-only or oddly named; never follow a link.

    Directories inside are moved up to the top before they are emptied, so that neither their depth nor the length of
    a path matters. Nobody may change anything there meanwhile. Nothing is there: nothing is done.

    Raises:
        OSError: Something cannot be removed.
    """
    try:
        if not stat.S_ISDIR(os.lstat(top).st_mode):
            os.unlink(top)  # noqa: PTH108 - pathlib takes longer to load than all of this
            return
        os.chmod(top, 0o700)  # noqa: PTH101
        root = os.open(top, _FLAGS)
    except FileNotFoundError:
        return
    try:
        _Removal(root).run()
    finally:
        os.close(root)
    os.rmdir(top)  # noqa: PTH106


class _Removal:
    """Empties the directory that *root* is open on."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._names = set(os.listdir(root))
        self._count = 0

    def run(self) -> None:
        """Empty it."""
        left = self._empty(self._root)
        while left:
            name = left.pop()
            directory = os.open(name, _FLAGS, dir_fd=self._root)
            try:
                left += self._empty(directory)
            finally:
                os.close(directory)
            os.rmdir(name, dir_fd=self._root)

    def _empty(self, directory: int) -> list[str]:
        """Remove the files in *directory* and move its directories up; returns what those are called there."""
        moved = []
        for name in os.listdir(directory):
            if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=directory)
                continue
            os.chmod(name, 0o700, dir_fd=directory)
            if directory == self._root:
                moved.append(name)
            else:
                moved.append(self._fresh_name())
                os.rename(name, moved[-1], src_dir_fd=directory, dst_dir_fd=self._root)
        return moved

    def _fresh_name(self) -> str:
        """A name that nothing in the root has."""
        while (name := f"{self._count}") in self._names:
            self._count += 1
        self._count += 1
        return name
