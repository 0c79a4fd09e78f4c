"""For CloudWatch: lines of JSON in its embedded metric format, which the agent or Lambda turns into metrics."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from ..._typing import Duration
from ..families import Metric, Point
from ..latencies import Latencies
from .labels import UNNAMED, bounded, plain_ascii
from .sending import SendingExporter

METRICS = 100
"""Metrics in one directive."""
DIMENSIONS = 30
"""Dimensions in one set."""
NAME = 250
"""Characters of a dimension's name."""
VALUE = 1024
"""Characters of a dimension's value."""

_UNITS = {"s": "Seconds", "By": "Bytes"}
_NAMESPACE = re.compile(r"[0-9A-Za-z._/#][0-9A-Za-z._/#: -]{0,254}")
_VISIBLE = re.compile(r"[ -~]*[!-~][ -~]*")
_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


class CloudWatchExporter(SendingExporter[str]):
    """Writes a line for each function every so many seconds, from which CloudWatch takes its metrics.

    Counters stand as what they have gained since the line before (their `Sum` is the count), histograms as `.p50`,
    `.p95`, `.p99`, `.sum` and `.count` of what was added. A label other than the function is the last part of a
    metric's name, such as `pyresilience.calls.success`. As CloudWatch charges for each name, what has never been
    counted is left out. Where the process is frozen between two requests, as in AWS Lambda, call `flush()` at the end
    of each.

    Args:
        stream: Where the lines go, something with `write()`; None: `sys.stdout`, whatever it is then.
        namespace: The namespace of the metrics.
        interval: Seconds between two lines.
        dimensions: Dimensions of every metric beside `function`, such as `{"service": "shop"}`; 29 at most.

    Raises:
        TypeError: A setting is of another type.
        ValueError: A setting is not what the format allows.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        namespace: str = "pyresilience",
        interval: Duration = 60.0,
        *,
        dimensions: Mapping[str, str] | None = None,
    ) -> None:
        if stream is not None and not callable(getattr(stream, "write", None)):
            raise TypeError(f"stream must be a text stream, got {stream!r}")
        if not isinstance(namespace, str):
            raise TypeError(f"namespace must be text, got {namespace!r}")
        if not _NAMESPACE.fullmatch(namespace) or namespace.startswith("AWS/"):
            raise ValueError(
                f"namespace must be 1 to 255 letters, digits and . - _ / # : and not begin with AWS/, got {namespace!r}"
            )
        self._stream = stream
        self._namespace = namespace
        self._dimensions = _dimensions(dimensions or {})
        super().__init__(interval, "cloudwatch")

    def renew(self) -> None:
        """A forked child has counted nothing yet."""
        super().renew()
        self._counted: set[tuple[str, str]] = set()

    def _messages(self, gains: list[tuple[Metric, list[Point]]]) -> Iterator[str]:
        functions: dict[str, dict[str, tuple[float, str]]] = {}
        for metric, points in gains:
            for point in points:
                found = functions.setdefault(point.labels[0], {})
                for name, value, unit in _values(metric, point):
                    if self._is_worth_telling(point.labels[0], name, value):
                        found[name] = (value, unit)
        when = int(time.time() * 1000)
        for function, values in functions.items():
            if values:
                yield json.dumps(self._document(function, values, when), allow_nan=False)

    def _document(self, function: str, values: dict[str, tuple[float, str]], when: int) -> dict[str, Any]:
        dimensions = {"function": _dimension_value(function), **self._dimensions}
        definitions = [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()]
        directives = [
            {
                "Namespace": self._namespace,
                "Dimensions": [list(dimensions)],
                "Metrics": definitions[first : first + METRICS],
            }
            for first in range(0, len(definitions), METRICS)
        ]
        return {
            "_aws": {"Timestamp": when, "CloudWatchMetrics": directives},
            **dimensions,
            **{name: value for name, (value, _) in values.items()},
        }

    def _is_worth_telling(self, function: str, name: str, value: float) -> bool:
        """Whether it is not nothing, or has been something before."""
        if value:
            self._counted.add((function, name))
        return (function, name) in self._counted

    def _send(self, message: str) -> None:
        stream = sys.stdout if self._stream is None else self._stream
        if stream is None:
            raise OSError("there is no standard output: give a stream=")
        stream.write(f"{message}\n")
        stream.flush()


def _values(metric: Metric, point: Point) -> Iterator[tuple[str, float, str]]:
    """Names, values and units of what *point* says."""
    name = ".".join([metric.dotted, *point.labels[1:]])
    if not isinstance(point.value, Latencies):
        yield name, point.value, "Count" if metric.kind == "counter" else _UNITS.get(metric.unit, "None")
    elif point.value.count:
        for quantile, share in _QUANTILES.items():
            yield f"{name}.{quantile}", point.value.quantile(share) or 0.0, _UNITS.get(metric.unit, "None")
        yield f"{name}.sum", point.value.total, _UNITS.get(metric.unit, "None")
        yield f"{name}.count", point.value.count, "Count"


def _dimension_value(text: str) -> str:
    return bounded(plain_ascii(text), VALUE).strip() or UNNAMED


def _dimensions(dimensions: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(dimensions, Mapping):
        raise TypeError(f"dimensions must be a mapping of names to values, got {dimensions!r}")
    if len(dimensions) > DIMENSIONS - 1:
        raise ValueError(f"dimensions must be at most {DIMENSIONS - 1} beside `function`, got {len(dimensions)}")
    for name, value in dimensions.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"a dimension must be a name and a value in text, got {name!r}: {value!r}")
        if name in ("function", "_aws") or name.startswith((":", "pyresilience.")):
            raise ValueError(f"a dimension must not be named {name!r}: that name is taken")
        for text, limit in ((name, NAME), (value, VALUE)):
            if not _VISIBLE.fullmatch(text) or len(text) > limit:
                raise ValueError(f"a dimension must be 1 to {limit} visible characters of ASCII, got {text!r}")
    return dict(dimensions)
