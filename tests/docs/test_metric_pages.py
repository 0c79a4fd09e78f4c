"""The pages on metrics say what the package does: every metric, every setting, every route, every option."""

from __future__ import annotations

import argparse
import inspect
import re
from dataclasses import fields

import pytest
import yaml

from pyresilience import CacheMetrics, MetricsContext, MetricSnapshot, PipelineMetrics, exporters
from pyresilience.cli.commands import parser
from pyresilience.cli.table import COLUMNS
from pyresilience.http import asgi, wsgi
from pyresilience.http.answers import ASSETS, Site
from pyresilience.http.conversation import Limits
from pyresilience.http.server import Server
from pyresilience.http.sources import source_of
from pyresilience.metrics import RunSnapshot
from pyresilience.metrics.families import CATALOGUE, measure
from pyresilience.metrics.latencies import BUCKETS
from pyresilience.metrics.report import report
from pyresilience.metrics.run_metrics import STAGES
from pyresilience.metrics.state import Circuit, State
from pyresilience.metrics.windows import SLICES

UNITS = {"s": "seconds", "By": "bytes"}

MADE = (CacheMetrics, MetricsContext, PipelineMetrics, Server, Limits, wsgi.resilience_app)
EXPORTERS = tuple(
    getattr(exporters, name) for name in exporters.__all__ if name not in ("MetricsExporter", "read_states")
)


def tables_of(page):
    """The tables of a page by what stands at their head, as code or as it is."""
    return {table[0][0].strip("`"): table for table in page.tables}


@pytest.fixture
def tables(reference_pages):
    """The tables of the whole reference by what stands at their head."""
    return {head: table for page in reference_pages for head, table in tables_of(page).items()}


@pytest.fixture
def on_page(reference_pages):
    """The page of the reference of that name."""
    return lambda name: next(page for page in reference_pages if page.path.stem == name)


def codes(cell):
    """What stands as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def test_every_metric_stands_in_its_table(tables):
    """Both names, the type, the unit and the labels are those of the catalogue, in its order."""
    rows = tables["Metric"][1:]
    stated = [(*codes(row[0]), row[1].partition(",")[0], ("function", *codes(row[1]))) for row in rows]
    assert stated == [(each.prometheus, each.dotted, each.kind, each.labels) for each in CATALOGUE]
    for row, each in zip(rows, CATALOGUE, strict=True):
        unit = row[1].split(", ")[1]
        assert unit == UNITS[each.unit] if each.unit else unit not in UNITS.values()
        assert row[2].endswith(".")


def test_every_value_of_a_label_is_named(tables):
    """The table of labels has every label but the function's, with every value that it takes."""
    state = State("f", MetricSnapshot(), runs=RunSnapshot(), circuit=Circuit("closed"))
    taken = {}
    for metric, points in measure([state]):
        for point in points:
            for name, value in zip(metric.labels[1:], point.labels[1:], strict=True):
                taken.setdefault(name, set()).add(value)
    assert {row[0].strip("`"): set(codes(row[1])) for row in tables["Label"][1:]} == taken


@pytest.mark.parametrize("made", [*MADE, *EXPORTERS], ids=lambda each: each.__name__)
def test_settings_and_defaults_are_those_of_the_signature(tables, made):
    """Every parameter has its row, in order, with its default; one without a default has none."""
    stated = [(row[0].strip("`"), row[1]) for row in tables[made.__name__][1:]]
    taken = inspect.signature(made).parameters.values()
    assert [parameter for parameter, _ in stated] == [each.name for each in taken]
    for (_, default), each in zip(stated, taken, strict=True):
        if each.default is inspect.Parameter.empty:
            assert default == ""
        else:
            assert eval(default.strip("`")) == each.default


def test_both_apps_take_the_same():
    """One table does for the ASGI app and the WSGI app."""
    asynchronous, synchronous = (inspect.signature(each.resilience_app).parameters for each in (asgi, wsgi))
    assert dict(asynchronous) == dict(synchronous)


@pytest.mark.parametrize("snapshot", [MetricSnapshot, RunSnapshot], ids=lambda each: each.__name__)
def test_every_field_of_a_snapshot_is_explained(tables, snapshot):
    """The table of a snapshot lists its fields, in order."""
    stated = [row[0].strip("`") for row in tables[snapshot.__name__][1:]]
    assert stated == [each.name for each in fields(snapshot)]


def test_what_a_snapshot_derives_is_explained(tables):
    """Properties stand in a table of their own; one of the estimates stands for all."""
    stated = {code for row in tables["Derived"][1:] for code in codes(row[0])}
    derived = {name for name, each in vars(MetricSnapshot).items() if isinstance(each, property)}
    assert {name for name in derived if not name.startswith("estimated_")} < stated
    assert "estimated_hits" in derived & stated


def test_the_methods_of_cache_metrics_are_those_there_are(on_page):
    """Each method of the table exists, with the parameters it shows; none that records is left out."""
    shown = {codes(row[0])[0].partition("(")[0] for row in tables_of(on_page("metrics"))["Method"][1:]}
    assert {name for name in vars(CacheMetrics) if name.startswith("record_")} - {"record_call"} < shown
    for row in tables_of(on_page("metrics"))["Method"][1:]:
        name, _, parameters = codes(row[0])[0].rstrip(")").partition("(")
        taken = [str(each) for each in inspect.signature(getattr(CacheMetrics, name)).parameters.values()]
        assert [each.partition(":")[0] for each in taken[1:]] == [
            each.partition("=")[0] for each in parameters.split(", ") if each
        ]


def test_numbers_in_the_prose_are_those_of_the_code(on_page):
    """Buckets, steps of a window and the order of the stages are as stated."""
    prose = on_page("metrics").prose
    assert f"histograms with {BUCKETS} buckets" in prose
    assert SLICES == 16 and "steps of one sixteenth" in prose
    assert f"in this order: {', '.join(STAGES).replace('_', ' ')}." in prose


def test_every_route_is_in_the_table(tables):
    """The table names each path that the app answers, with its method."""
    site = Site(source_of([], None))
    there = {(path, method) for path, methods in site._routes.items() for method in methods} | {(ASSETS, "GET")}
    stated = {(row[0].strip("`"), row[1]) for row in tables["Path"][1:]}
    assert {(path if path.startswith("/") else "", method) for path, method in stated} == there


def test_every_field_of_the_figures_is_explained(on_page):
    """The tables of `/stats.json` name what it says, and nothing else."""
    state = State("f", MetricSnapshot(), runs=RunSnapshot(), circuit=Circuit("closed"))
    figures = report([state])
    (function,) = figures["functions"]
    tables = tables_of(on_page("http"))
    assert [code for row in tables["Field"][1:] for code in codes(row[0])] == list(figures)
    rows = {codes(row[0])[0]: codes(row[1]) for row in tables["Field of a function"][1:]}
    assert list(rows) == list(function)
    assert {name: rows[name] for name in ("cache", "runs", "circuit")} == {
        name: list(function[name]) for name in ("cache", "runs", "circuit")
    }


def test_every_error_of_the_app_is_in_the_table(on_page, root):
    """The codes and statuses of the table are those that the code refuses with."""
    source = "".join(path.read_text() for path in (root / "pyresilience/http").glob("*.py"))
    refused = set(re.findall(r'Refused\(\s*(\d+),\s*"([A-Z_]+)"', source))
    table = tables_of(on_page("http"))["Status"]
    assert {(row[0], code) for row in table[1:] for code in codes(row[1])} == refused


@pytest.mark.parametrize("command", ["serve", "top", "stats"])
def test_every_option_of_a_command_is_in_its_table(tables, command):
    """Options, arguments and defaults of the table are those of the parser, in the order of its help."""
    (choices,) = (each.choices for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    actions = [each for each in choices[command]._actions if not isinstance(each, argparse._HelpAction)]
    known = {_shown(action): _default(action) for action in actions}
    assert {row[0].strip("`"): row[1].strip("`") for row in tables[command][1:]} == known


def _shown(action):
    """An option as the help shows it."""
    name = action.option_strings[0] if action.option_strings else ""
    if action.nargs == 0:
        return name
    choices = action.choices and f"{{{','.join(action.choices)}}}"
    metavar = action.metavar or choices or action.dest.upper()
    return f"{name} {metavar}".strip()


def _default(action):
    """A default as the table shows it; nothing, where there is none to speak of."""
    if action.default in (None, False, []):
        return ""
    return f"{action.default:g}" if isinstance(action.default, float) else str(action.default)


def test_metrics_and_alerts_that_pages_name_exist(page, root):
    """No query, no example and no table names a metric or an alert that there is not."""
    histograms = {each.prometheus for each in CATALOGUE if each.kind == "histogram"}
    known = {each.prometheus for each in CATALOGUE} | {
        f"{each}_{part}" for each in histograms for part in ("bucket", "count", "sum")
    }
    assert set(re.findall(r"\bpyresilience_\w+[a-z](?![\w…])", page.text)) <= known
    dotted = {each.dotted for each in CATALOGUE}
    for name in re.findall(r"(?<!::: )\bpyresilience\.(?:cache|calls|call|circuit|retries)\.[\w.]+\w", page.prose):
        assert any(name == each or name.startswith(f"{each}.") for each in dotted), name
    alerts = set(re.findall(r"alert: (\w+)", (root / "deploy/prometheus-alerts.yml").read_text()))
    assert set(re.findall(r"`(Pyresilience\w+)`", page.prose)) <= alerts


def test_every_alert_is_explained(all_pages, root):
    """The how-to names each rule that there is."""
    alerts = set(re.findall(r"alert: (\w+)", (root / "deploy/prometheus-alerts.yml").read_text()))
    named = {name for page in all_pages for name in re.findall(r"`(Pyresilience\w+)`", page.prose)}
    assert alerts and alerts == named


def test_configurations_are_yaml(page):
    """Who copies one gets no error of syntax."""
    for block in page.blocks:
        if block.language == "yaml":
            assert isinstance(yaml.safe_load(block.code), dict)


def test_every_column_of_top_is_in_its_table(tables):
    """Titles and the names to sort by are those of the table in the terminal."""
    stated = [tuple(cell.strip("`") for cell in row[:2]) for row in tables["Title"][1:]]
    assert stated == [(column.title, column.name) for column in COLUMNS]
