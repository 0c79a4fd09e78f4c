"""The tables, one module each, in the order of the report."""

from ..contest import Group, Row
from . import (
    asking,
    cold_keys,
    footprint,
    hit_ratios,
    hits,
    metrics,
    misses,
    options,
    pipelines,
    retries,
    sandbox,
    stages,
    threads,
)

GROUPS: tuple[Group, ...] = (
    hits.SYNC,
    hits.ASYNC,
    misses.GROUP,
    threads.GROUP,
    cold_keys.GROUP,
    stages.SYNC,
    stages.ASYNC,
    pipelines.GROUP,
    retries.GROUP,
    options.GROUP,
    hit_ratios.GROUP,
    metrics.CALLS,
    metrics.WRITING,
    asking.GROUP,
    sandbox.GROUP,
    footprint.GROUP,
)

ROWS: dict[str, Row] = {row.name: row for group in GROUPS for row in group.rows}
