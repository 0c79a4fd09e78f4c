"""What a cache is made of: a plain shelf and plain flights, as long as its settings ask for no more."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from .._wiring import roll
from ..clock import Clock
from .config import CacheConfig
from .flights import Flights
from .keeping import PlainKeeper
from .shelf import Shelf

if TYPE_CHECKING:
    from .keeper import Keeper
    from .options import Options

PLAIN = {
    "max_size",
    "ttl",
    "key",
    "on_unhashable",
    "enable_metrics",
    "metrics_sampling_rate",
    "ignore",
    "vary",
    "version",
}
"""The settings that a plain shelf and plain flights can do."""

_BEYOND = [each for each in fields(CacheConfig) if each.name not in PLAIN]
_beyond = attrgetter(*[each.name for each in _BEYOND])
_NOTHING = tuple([each.default for each in _BEYOND])
"""What all others are where nobody asks for more."""


class Furniture(NamedTuple):
    """The parts of one cache."""

    shelf: Shelf
    flights: Flights
    keeper: PlainKeeper | Keeper
    options: Options | None


def furnish(config: CacheConfig, clock: Clock, *, measured: bool) -> Furniture:
    """The parts of a cache of these settings.

    Args:
        config: The settings.
        clock: Where the time is read.
        measured: Whether it is to keep account of what it holds.
    """
    if not _is_plain(config):
        from .options import Options

        options = Options(config, clock, measured=measured)
        return Furniture(options.shelf, options.flights, options.keeper, options)
    if measured:
        from .keeper import Keeper
        from .weighed_shelf import WeighedShelf

        shelf: Shelf = WeighedShelf(config.max_size)
        keeper: PlainKeeper | Keeper = Keeper(config, None, roll, weighs=True)
    else:
        shelf, keeper = Shelf(config.max_size), PlainKeeper(config)
    return Furniture(shelf, Flights(shelf, keeper.row_of, clock), keeper, None)


def _is_plain(config: CacheConfig) -> bool:
    """Whether it asks for no more than a plain shelf and plain flights can do."""
    return not callable(config.ttl) and bool(_beyond(config) == _NOTHING)
