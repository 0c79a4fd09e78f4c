"""The library's logger, which is loaded when there is something to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger


def log() -> Logger:
    """The logger `pyresilience`."""
    import logging

    return logging.getLogger("pyresilience")
