"""One file, one stage: its config, its class and its two handlers. Here: what a stage of your own needs."""

from .._call import Call
from .._wiring import Wiring
from .base import AsyncHandler, Handler, Stage, StageConfig
from .gate import Gate

__all__ = ["AsyncHandler", "Call", "Gate", "Handler", "Stage", "StageConfig", "Wiring"]
