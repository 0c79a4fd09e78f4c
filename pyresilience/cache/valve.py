"""Lets calls past a cache: those of one block of code, or all. While nobody asks for it, a hit does not know of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from .._forks import renew_in_child
from .keys import UNKEYED, KeyOf
from .ledger import Ledger
from .loader import Load
from .shelf import Row

Find: TypeAlias = Callable[[Hashable], "Row | None"]
Turn: TypeAlias = Callable[[KeyOf, Find, Load], None]
"""Makes a door make keys, look up and load by other means."""


class _Pass:
    """A block of code whose calls go past a cache; or, while it runs, all calls do."""

    __slots__ = ("for_all", "open")

    def __init__(self, *, for_all: bool) -> None:
        self.for_all = for_all
        self.open = True
        """Whether the block has not ended; a task that was begun in it may outlive it."""


_passes: ContextVar[tuple[_Pass, ...]] = ContextVar("pyresilience_passes", default=())
"""The blocks around us."""


class Valve:
    """How the calls of one function get past its cache: while any do, its door finds and loads through us.

    Args:
        ledger: Where it is written down.
    """

    __slots__ = ("__weakref__", "_blocks", "_find", "_key_of", "_ledger", "_load", "_lock", "_turn")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._blocks: list[_Pass] = []
        self._lock = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child is in the blocks it was forked in."""
        self._lock = threading.RLock()

    def connect(self, key_of: KeyOf, find: Find, load: Load, turn: Turn) -> None:
        """Belong to a door that makes keys, finds and loads so, unless it is told otherwise by *turn*."""
        self._key_of, self._find, self._load, self._turn = key_of, find, load, turn

    @contextmanager
    def bypass(self) -> Iterator[None]:
        """Let the calls of this block past: they run the function, and neither find nor leave a result."""
        block = _Pass(for_all=False)
        try:
            _passes.set((*_passes.get(), block))
            self._arrange(block)
            yield
        finally:
            block.open = False
            _passes.set(tuple([each for each in _passes.get() if each.open]))  # an interrupt may have left others
            self._arrange()

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Let all calls past, whoever makes them, until the block ends."""
        block = _Pass(for_all=True)
        try:
            self._arrange(block)
            yield
        finally:
            block.open = False
            self._arrange()

    def _arrange(self, *more: _Pass) -> None:
        """Stand in the door's way as long as there is a reason to, *more* blocks or those there were."""
        with self._lock:
            self._blocks = [each for each in (*self._blocks, *more) if each.open]
            if self._blocks:
                self._turn(self._key_if_any, self._find_or_not, self._load_past)
            else:
                self._turn(self._key_of, self._find, self._load)

    def _lets_past(self) -> bool:
        blocks = self._blocks
        if not [each for each in blocks if each.open]:  # a generator, ended early, would swallow a Ctrl-C
            self._arrange()  # an interrupt kept the last one from doing so
            return False
        around = _passes.get()
        return bool([each for each in blocks if each.open and (each.for_all or each in around)])

    def _key_if_any(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """The key; a call that goes past needs none, so it does not fail for want of one."""
        try:
            return self._key_of(args, kwargs)
        except Exception:
            if self._lets_past():
                return UNKEYED
            raise

    def _find_or_not(self, key: Hashable) -> Row | None:
        return None if self._lets_past() else self._find(key)

    def _load_past(self, key: Hashable, *rest: Any) -> Any:
        if self._lets_past():
            self._ledger.note(key, "bypassed")
            key = UNKEYED
        return self._load(key, *rest)
