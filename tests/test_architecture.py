"""Who may know whom: the walls of the house."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyresilience

HOUSE = Path(pyresilience.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))
LONGEST = 300


def room(path):
    return path.relative_to(HOUSE).with_suffix("").as_posix()


def package_of(path):
    parts = ["pyresilience", *path.relative_to(HOUSE).parts]
    return parts[:-1]


def imports(path, *, at_import_time=False):
    """Absolute names of what *path* imports; with *at_import_time* not what a function or TYPE_CHECKING imports."""
    found = set()

    def look(nodes):
        for node in nodes:
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package_of(path)[: len(package_of(path)) - node.level + 1] if node.level else []
                source = ".".join([*base, *(node.module or "").split(".")]).strip(".")
                found.update({source, *(f"{source}.{alias.name}" for alias in node.names)})
            elif at_import_time and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            elif at_import_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            else:
                look(ast.iter_child_nodes(node))

    look(ast.parse(path.read_text()).body)
    return found


def knows(path, name, **how):
    return any(each == name or each.startswith(f"{name}.") for each in imports(path, **how))


def where(predicate):
    return {room(path) for path in FILES if predicate(path)}


MACHINES = {
    "cache/agenda", "cache/barriers", "cache/invalidations", "cache/ledger", "cache/shelf", "cache/terms", "cache/weighed_shelf",
    "cache/weight",
    "metrics/counts", "metrics/latencies", "metrics/snapshot", "metrics/windows",
}  # fmt: skip
PURE = [path for path in FILES if room(path).startswith("policies/") or room(path) in MACHINES]

AROUND = ("metrics", "http", "contrib", "cli", "exporters", "sandbox", "__main__")
"""What is built around the core, and loaded when it is asked for."""


@pytest.mark.parametrize("path", PURE, ids=room)
def test_pure_machines_know_no_world(path):
    """Machines import no clock, die, thread, event loop, log, event or error."""
    banned = "time random threading asyncio anyio trio logging pyresilience.events pyresilience.errors".split()
    assert not [name for name in banned if knows(path, name)]


def test_there_are_machines():
    """The rule above looks at something."""
    assert {"policies/circuit", "policies/ring", *MACHINES} <= {room(path) for path in PURE}


def test_only_backoff_knows_tenacity():
    """Tenacity is known in one place at run time; elsewhere only to the type checker."""
    assert where(lambda path: knows(path, "tenacity", at_import_time=True)) == set()
    assert where(lambda path: knows(path, "tenacity")) <= {"policies/backoff", "stages/retry"}


def test_only_the_async_hand_knows_event_loops():
    """anyio, asyncio and trio are known to `_async` alone, and not at import time."""
    for name in ("anyio", "asyncio", "trio"):
        assert where(lambda path, name=name: knows(path, name)) <= {"_async"}
        assert where(lambda path, name=name: knows(path, name, at_import_time=True)) == set()


def test_only_the_blocking_hand_sleeps_and_makes_threads():
    """`time.sleep` and `threading.Thread` stand in `_blocking` alone."""
    for words in ("time.sleep", "threading.Thread"):
        assert where(lambda path, words=words: words in path.read_text()) <= {"_blocking"}


def test_stages_do_not_know_each_other():
    """A stage imports the base, the gate and its own parts, and no other stage."""
    stages = {"fallback", "retry", "circuit_breaker", "rate_limiter", "bulkhead", "timeout"}
    for stage in stages:
        known = {
            each for each in stages - {stage} if knows(HOUSE / f"stages/{stage}.py", f"pyresilience.stages.{each}")
        }
        assert not known, stage


def test_stages_are_named_by_the_decorator_alone():
    """Beside the decorator, the public names and the ready-made settings, nobody imports a stage."""
    stages = {"fallback", "retry", "circuit_breaker", "rate_limiter", "bulkhead", "timeout"}
    naming = where(lambda path: any(knows(path, f"pyresilience.stages.{each}", at_import_time=True) for each in stages))
    assert naming <= {"__init__", "decorator", "presets"}


def test_only_the_cache_knows_flights_and_shelf():
    """What the cache is made of is the cache's own affair."""
    for inner in ("flights", "shelf", "keys", "freeze", "digest", "desk", "loader", "terms", "reloads", "keeper"):
        knowing = where(lambda path, inner=inner: knows(path, f"pyresilience.cache.{inner}"))
        assert all(each.startswith("cache/") for each in knowing), inner


def test_listeners_know_events_only():
    """The listeners that come with the library could have been written by its users."""
    for path in (HOUSE / "listeners").glob("*.py"):
        ours = {each.split(".")[1] for each in imports(path) if each.startswith("pyresilience.")}
        assert ours <= {"events", "_forks"}, room(path)


def test_the_core_does_not_load_what_is_built_around_it():
    """Metrics, exporters, HTTP and command line are imported by the core within functions only, if at all."""
    core = [path for path in FILES if room(path).split("/")[0] not in AROUND]
    assert {"pipeline", "cache/door", "stages/retry"} <= {room(path) for path in core}
    for path in core:
        assert not [name for name in AROUND if knows(path, f"pyresilience.{name}", at_import_time=True)], room(path)


def test_exporters_do_not_know_each_other():
    """One file, one exporter: what two of them need is no exporter."""
    exporters = {"prometheus", "opentelemetry", "statsd", "cloudwatch", "json_file"}
    for name in exporters:
        path = HOUSE / f"metrics/exporters/{name}.py"
        others = exporters - {name}
        assert not [each for each in others if knows(path, f"pyresilience.metrics.exporters.{each}")], name


def test_metrics_do_not_know_how_they_are_shown():
    """Counting knows nothing of HTTP, nor of the command line."""
    core = list((HOUSE / "metrics").glob("*.py"))
    assert core
    for path in core:
        assert not [name for name in ("http", "contrib", "cli", "sandbox") if knows(path, f"pyresilience.{name}")], (
            room(path)
        )


@pytest.mark.parametrize("path", FILES, ids=room)
def test_files_are_short(path):
    """A file has at most 300 lines; the catalogue of events may have more."""
    assert len(path.read_text().splitlines()) <= LONGEST or room(path) == "events"


def test_no_room_is_a_lumber_room():
    """No module is called after having no subject."""
    assert not where(lambda path: path.stem.strip("_") in {"utils", "util", "helpers", "manager", "misc", "common"})


def test_the_core_depends_on_three_packages():
    """The declared dependencies are the three that the customer allowed."""
    import tomllib

    project = tomllib.loads((HOUSE.parent / "pyproject.toml").read_text())["project"]
    names = {each.split(">")[0].split("=")[0].strip() for each in project["dependencies"]}
    assert names == {"anyio", "tenacity", "typing-extensions"}


def test_nobody_is_sent_to_the_other_package():
    """No text tells a user to install a package of our name from PyPI: it is somebody else's."""
    root = HOUSE.parent
    texts = [root / "README.md", *root.glob("docs/**/*.md"), *FILES]
    for path in texts:
        text = path.read_text()
        assert "pip install pyresilience" not in text, path
        assert "pyresilience[" not in text, path


def test_import_leaves_tenacity_and_anyio_for_later():
    """A program that never fails and never waits pays for neither."""
    code = (
        "import sys; from pyresilience import *; from pyresilience import resilient, RetryConfig\n"
        "@resilient(retry=RetryConfig())\ndef f(): return 1\n"
        "f(); assert not {'tenacity', 'anyio', 'asyncio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
