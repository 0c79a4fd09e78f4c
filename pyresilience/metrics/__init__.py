"""What the caches and the pipelines do, in numbers: counts, durations, sizes; and exporters of them."""

from .cache_metrics import CacheMetrics
from .context import MetricsContext
from .exporters.base import MetricsExporter
from .latencies import Latencies
from .pipeline_metrics import PipelineMetrics
from .run_metrics import RunSnapshot
from .snapshot import Evictions, MetricSnapshot

__all__ = [
    "CacheMetrics",
    "Evictions",
    "Latencies",
    "MetricSnapshot",
    "MetricsContext",
    "MetricsExporter",
    "PipelineMetrics",
    "RunSnapshot",
]
