"""Exporters, one file each, loaded when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import MetricsExporter
    from .cloudwatch import CloudWatchExporter
    from .json_file import JsonFileExporter
    from .multiprocess import read_states
    from .opentelemetry import OpenTelemetryExporter
    from .prometheus import PrometheusExporter
    from .statsd import StatsDExporter

__all__ = [
    "CloudWatchExporter",
    "JsonFileExporter",
    "MetricsExporter",
    "OpenTelemetryExporter",
    "PrometheusExporter",
    "StatsDExporter",
    "read_states",
]

_HOMES = {
    "CloudWatchExporter": "cloudwatch",
    "JsonFileExporter": "json_file",
    "MetricsExporter": "base",
    "OpenTelemetryExporter": "opentelemetry",
    "PrometheusExporter": "prometheus",
    "StatsDExporter": "statsd",
    "read_states": "multiprocess",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
