"""After `os.fork()` the child has one thread: what its parent's other threads held is void."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """Shared state that must begin anew in a forked child."""

    def renew(self) -> None:
        """Fresh locks; nothing is under way."""


_renewables: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_in_child(thing: Renewable) -> None:
    """Call `thing.renew()` in every child forked from now on."""
    _renewables.add(thing)


def _renew_all() -> None:
    for thing in list(_renewables):
        thing.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
