"""Giving what a run has made in somebody's directory to the owner of the directory."""

from __future__ import annotations

import os


def hand_over(top: str, user: int) -> None:
    """Give every file below *top* that belongs to *user* to the owner of *top*; follow no link.

    What cannot be reached any more (its path is too long, or it is gone) is left as it is.
    """
    owner = os.stat(top)  # noqa: PTH116 - pathlib takes longer to load than all of this
    left = [top]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for each in entries:
                    if each.stat(follow_symlinks=False).st_uid == user:
                        os.chown(each.path, owner.st_uid, owner.st_gid, follow_symlinks=False)
                    if each.is_dir(follow_symlinks=False):
                        left.append(each.path)
        except OSError:
            continue
