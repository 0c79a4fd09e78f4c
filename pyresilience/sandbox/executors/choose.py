"""Which executor is the best that works here."""

from __future__ import annotations

from .base import Executor
from .bubblewrap import BubblewrapExecutor, why_not
from .subprocess import SubprocessExecutor


def choose() -> Executor:
    """A new executor: bubblewrap where it is installed and works, which is tried once; else the plain subprocess.

    `SubprocessExecutor` is for trusted code; `why_not()` of the module `bubblewrap` says why it was chosen.
    """
    return SubprocessExecutor() if why_not() is not None else BubblewrapExecutor()
