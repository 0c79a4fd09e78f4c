"""What runs code: one small protocol, and the ways to do it on this machine."""

from .base import Executor, Running
from .bubblewrap import BubblewrapExecutor
from .choose import choose
from .subprocess import SubprocessExecutor

__all__ = ["BubblewrapExecutor", "Executor", "Running", "SubprocessExecutor", "choose"]
