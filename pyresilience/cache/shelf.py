"""What is kept: entries in LRU order, each with its deadline. No clock, no lock.

Reading is a plain look into `rows`, and `touch` for what was found; whoever writes holds a lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Literal, TypeAlias

from .agenda import NOBODY, Agenda
from .ledger import Ledger

Row: TypeAlias = tuple[Any, ...]
"""A value, and the time until which it can be handed out without looking closer; where it matters its weight, and more."""

Cause: TypeAlias = Literal["size", "expired", "invalidated", "replaced"]
"""Why a row leaves: no room, its time is over, somebody asked for it, or another takes its place."""


class Shelf:
    """At most *size* rows. Expired ones go first, then the least recently used."""

    __slots__ = ("_note_eviction", "agenda", "hits", "ledger", "misses", "rows", "size", "touch")

    def __init__(self, size: int) -> None:
        self.size = size
        self.hits = 0
        self.misses = 0
        self.rows: OrderedDict[Hashable, Row] = OrderedDict()
        self.touch: Callable[[Hashable], None] = self.rows.move_to_end
        """Make a row the most recently used one; KeyError: it has just been dropped."""
        self.agenda = Agenda(self.deadlines, self.deadline_of)
        self.ledger = Ledger()
        self._note_eviction = self.ledger.note_eviction

    def put(self, key: Hashable, row: Row, now: float) -> None:
        """Keep *row* under a *key* that is not there, as the most recently used."""
        rows, agenda = self.rows, self.agenda
        rows[key] = row
        if row[1] < agenda.horizon:
            agenda.add(key, row[1])
        while len(rows) > self.size:
            if now >= agenda.soonest and self._drop_due(now):
                continue
            try:
                self._note_eviction(hash(rows.popitem(False)[0]))
            except Exception:  # noqa: BLE001 - a signal handler has just emptied it; or it is the user's own __hash__
                return

    def replace(self, key: Hashable, row: Row, now: float) -> None:
        """Keep *row* under *key*, whether or not another is there, as the most recently used."""
        self.drop(key, "replaced")
        self.put(key, row, now)

    def _drop_due(self, now: float) -> bool:
        """Drop a row whose time is over; False: there is none."""
        key = self.agenda.due(now)
        if key is NOBODY:
            return False
        self.ledger.note(key, "expired")
        return self.drop(key, "expired")

    def deadlines(self) -> list[tuple[float, Hashable]]:
        """When each row is of no use any more, and its key."""
        return [(self.until(row), key) for key, row in [*dict.items(self.rows)]]  # which does not hash them again

    def deadline_of(self, key: Hashable) -> float | None:
        """When the row of *key* is of no use any more; None: there is none."""
        try:
            row = self.rows.get(key)
        except Exception:  # noqa: BLE001 - it is the user's own __hash__
            return None
        return None if row is None else self.until(row)

    def until(self, row: Row) -> float:
        """When *row* is of no use any more."""
        until: float = row[1]
        return until

    def drop(self, key: Hashable, cause: Cause) -> bool:
        """Forget *key*; False: it was not there."""
        return self.rows.pop(key, None) is not None

    def holdings(self, scope: Hashable | None) -> Any:
        """What it holds of the function of *scope*, or of all; None: it does not keep account."""
        return None

    def clear(self) -> None:
        """Forget everything, the counts too."""
        self.rows.clear()
        self.agenda.clear()
        self.hits = self.misses = 0
