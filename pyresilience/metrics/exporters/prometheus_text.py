"""Metrics as text for Prometheus: the text format 0.0.4, or OpenMetrics 1.0.

Formats: prometheus.io/docs/instrumenting/exposition_formats and the OpenMetrics specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from ..._log import log
from ..families import Metric, Point, measure
from ..latencies import Latencies
from ..state import State

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

LONGEST = 1024
"""Characters that a label's value may have; of a longer one the beginning and a digest remain."""

UNITS = {"s": "seconds", "By": "bytes"}
"""What units are called, which end the names of their families."""

_unreadable: set[str] = set()
"""Functions of which it was logged that they cannot be exported."""


class Sample(NamedTuple):
    """One line: a name, labels, and a value."""

    name: str
    labels: dict[str, str]
    value: float


Families = list[tuple[Metric, list[Sample]]]
"""Metrics with the lines there are of each."""


def render(states: Iterable[State], accept: str = "") -> tuple[str, bytes]:
    """The content type and the text of *states*, in the format that *accept*, a request's header, asks for."""
    exact = wants_openmetrics(accept)
    return OPENMETRICS if exact else TEXT, write(families(states), openmetrics=exact).encode()


def families(states: Iterable[State]) -> Families:
    """Every metric that has values. A state that makes no sense is left out, which is logged once."""
    states = list(states)
    try:
        return _families(states)
    except Exception:  # noqa: BLE001 - one function must not cost the others their metrics
        return _families([state for state in states if _sound(state)])


def _families(states: list[State]) -> Families:
    return [(metric, list(samples(metric, points))) for metric, points in measure(states) if points]


def _sound(state: State) -> bool:
    try:
        _families([state])
    except Exception:  # noqa: BLE001 - it is logged
        if state.function not in _unreadable:
            _unreadable.add(state.function)
            log().exception("the metrics of %r cannot be exported; this is logged once", state.function)
        return False
    return True


def write(families: Families, *, openmetrics: bool = False) -> str:
    """The text of *families*."""
    lines: list[str] = []
    for metric, its in families:
        name = family(metric)
        shown = name if openmetrics or metric.kind != "counter" else f"{name}_total"
        lines.append(f"# HELP {shown} {_escaped(metric.help, quotes=openmetrics)}")
        lines.append(f"# TYPE {shown} {metric.kind}")
        if openmetrics and metric.unit in UNITS:
            lines.append(f"# UNIT {shown} {UNITS[metric.unit]}")
        lines += [f"{each.name}{{{_labels(each.labels)}}} {number(each.value)}" for each in its]
    lines += ["# EOF"] * openmetrics
    return "".join(f"{line}\n" for line in lines)


def family(metric: Metric) -> str:
    """The name of the family, which of a counter is without `_total`."""
    return metric.prometheus.removesuffix("_total") if metric.kind == "counter" else metric.prometheus


def samples(metric: Metric, points: Iterable[Point]) -> Iterator[Sample]:
    """The lines of one family."""
    for values, value in points:
        labels = dict(zip(metric.labels, map(label_value, values), strict=True))
        if isinstance(value, Latencies):
            bounds = value.cumulative()
            for edge, count in bounds:
                yield Sample(f"{metric.prometheus}_bucket", {**labels, "le": number(edge)}, count)
            yield Sample(f"{metric.prometheus}_count", labels, bounds[-1][1])
            yield Sample(f"{metric.prometheus}_sum", labels, float(value.total))
        else:
            yield Sample(metric.prometheus, labels, float(value))


def number(value: float) -> str:
    """A number as both formats write it."""
    text = repr(float(value))
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)


def label_value(text: str) -> str:
    """*text* as it may stand in a label: it always fits into UTF-8 and on a line, and is not too long.

    Characters that break readers (surrogates, NUL, other control characters and line separators, but not the newline,
    which both formats know) stand as escapes. So that what is changed is still told apart, it ends in a digest.
    """
    if len(text) <= LONGEST and text.replace("\n", "").isprintable():
        return text
    safe = "".join(each if each == "\n" or each.isprintable() else ascii(each)[1:-1] for each in text[:LONGEST])
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: LONGEST - 9]}~{digest}"


def _labels(labels: dict[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text


def wants_openmetrics(accept: str) -> bool:
    """Whether an `Accept` header prefers OpenMetrics 1.0 to plain text; whoever does not care gets plain text."""
    plain = exact = 0.0
    said = -1
    for media, parameters, quality in _ranges(accept):
        version = parameters.get("version", "")
        if media == "application/openmetrics-text" and version in ("", "1.0.0"):
            exact = max(exact, quality)
        elif media in _PLAIN and version in ("", "0.0.4") and (weight := _PLAIN.index(media)) >= said:
            # the more precise range decides, however much a wider one would allow (RFC 9110, 12.5.1)
            plain = max(plain, quality) if weight == said else quality
            said = weight
    return exact > plain


_PLAIN = ("*/*", "text/*", "text/plain")


def _ranges(accept: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each media range of an `Accept` header with its parameters and its quality; what makes no sense is left out."""
    for each in accept.lower().split(","):
        media, *rest = (part.strip() for part in each.split(";"))
        parameters = {
            name.strip(): value.strip().strip('"') for name, _, value in (part.partition("=") for part in rest)
        }
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            continue
        if 0.0 <= quality <= 1.0:
            yield media, parameters, quality
