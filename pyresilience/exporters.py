"""Where users find the exporters: `from pyresilience.exporters import PrometheusExporter`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .metrics import exporters
from .metrics.exporters import __all__ as __all__  # noqa: PLC0414 - the same names, none of them loaded yet

if TYPE_CHECKING:
    from .metrics.exporters import *  # noqa: F403


def __getattr__(name: str) -> Any:
    return getattr(exporters, name)
