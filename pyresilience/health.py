"""What an operator asks first: which circuits are open, which limits are reached."""

from __future__ import annotations

import re
from typing import Any

from .registry import ResilienceRegistry


def health_check(registry: ResilienceRegistry) -> dict[str, dict[str, dict[str, Any]]]:
    """Per name and stage what there is to know, ready for JSON.

    For example `{"payments": {"circuit_breaker": {"state": "open", "failure_count": 5}}}`.
    """
    report: dict[str, dict[str, dict[str, Any]]] = {}
    for name in registry.names:
        pipeline = registry.pipeline(name)
        stages = () if pipeline is None else pipeline.stages
        report[name] = {_snake(type(stage).__name__): health for stage in stages if (health := stage.health())}
    return report


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
