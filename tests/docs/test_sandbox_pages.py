"""The pages on sandboxes say what the package does: every setting, field, route, status, error and option."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from dataclasses import MISSING, fields

import pytest

from pyresilience import CacheConfig, sandbox
from pyresilience.clock import SystemClock
from pyresilience.sandbox import Execution, ExecutionResult, Job, Limits, Sandbox
from pyresilience.sandbox.executors.base import Executor, Running
from pyresilience.sandbox.server import agent, sandbox_app
from pyresilience.sandbox.server.command import parser
from pyresilience.sandbox.server.control import ControlPlane
from pyresilience.sandbox.server.fields import MAX_ENV, MAX_SECONDS
from pyresilience.sandbox.server.places import WAITING, Places
from pyresilience.sandbox.server.punctual import HEAD_SECONDS
from pyresilience.sandbox.server.registry import MAX_SANDBOXES, Registry
from pyresilience.sandbox.server.tokens import KEPT, LIFE, Secret
from pyresilience.sandbox.settings import TEMPLATES

MEBIBYTE = 1024 * 1024


class Silent:
    """An executor whose runs print nothing."""

    name = "silent"

    def languages(self):
        return {"python": "silence"}

    def start(self, job):
        return self

    def wait(self):
        return Execution(0, "", "", 0.0)

    def kill(self):
        return

    def close(self):
        return


def codes(cell):
    """What stands as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


@pytest.fixture
def on_page(reference_pages):
    """The tables of a page of the reference by what stands at their head."""

    def tables(name):
        page = next(page for page in reference_pages if page.path.stem == name)
        return {table[0][0].replace("`", ""): table[1:] for table in page.tables}

    return tables


@pytest.fixture
def prose(reference_pages):
    return lambda name: next(page.prose for page in reference_pages if page.path.stem == name)


@pytest.mark.parametrize(
    ("named", "head", "made"),
    [
        ("sandbox", "Sandbox.create", Sandbox.create),
        ("sandbox", "run_code", Sandbox.run_code),
        ("sandbox-server", "sandbox_app", sandbox_app),
    ],
)
def test_settings_of_a_function_are_in_its_table(on_page, named, head, made):
    """Every parameter has its row, in order, with its default; one without a default has none."""
    stated = [(codes(row[0])[0], row[1]) for row in on_page(named)[head]]
    taken = [each for each in inspect.signature(made).parameters.values() if each.name != "self"]
    assert [name for name, _ in stated] == [each.name for each in taken]
    for (_, default), each in zip(stated, taken, strict=True):
        if each.default is inspect.Parameter.empty:
            assert default == ""
        else:
            assert eval(default.strip("`"), {"CacheConfig": CacheConfig}) == each.default


def test_the_limits_are_in_their_table(on_page):
    """Every limit has its row, in order, with its default."""
    stated = [(codes(row[0])[0], eval(row[1].strip("`"))) for row in on_page("sandbox")["sandbox.Limits"]]
    assert stated == [(each.name, each.default) for each in fields(Limits)]


@pytest.mark.parametrize("made", [ExecutionResult, Job, Execution], ids=lambda each: each.__name__)
def test_every_field_of_a_record_is_explained(on_page, made):
    """The table of a record lists its fields with their types, in order."""
    stated = [tuple(cell.strip("`") for cell in row[:2]) for row in on_page("sandbox")[made.__name__]]
    assert stated == [(each.name, each.type) for each in fields(made)]


@pytest.mark.parametrize("protocol", [Executor, Running], ids=lambda each: each.__name__)
def test_every_member_of_an_executor_is_explained(on_page, protocol):
    """The tables name what an executor and a run must have, with the parameters."""
    stated = {codes(row[0])[0] for row in on_page("sandbox")[protocol.__name__]}
    there = {name for name in vars(protocol) if not name.startswith("_") and inspect.isfunction(vars(protocol)[name])}
    shown = {f"{name}({', '.join([*inspect.signature(vars(protocol)[name]).parameters][1:])})" for name in there}
    assert stated == shown | set(vars(protocol).get("__annotations__", {}))


def test_the_members_of_a_sandbox_are_those_there_are(on_page):
    """What the table names is there, and nothing public is left out."""
    shown = {
        code.partition("(")[0].partition(".")[0]
        for row in on_page("sandbox")["A sandbox has"]
        for code in codes(row[0])
    }
    public = {name for name in dir(Sandbox) if not name.startswith("_")} - {"create"}
    assert shown == public | {"id", "template"}
    with Sandbox.create(executor=Silent()) as made:
        assert all(hasattr(made, name) for name in shown)


def test_every_field_of_the_statistics_is_explained(on_page):
    """The tables list what `stats()` and `clear()` say, in order, and the example shows the same fields."""
    with Sandbox.create(executor=Silent()) as made:
        stats, cleared = made.cache.stats(), made.cache.clear()
    tables = on_page("sandbox")
    assert [codes(row[0])[0] for row in tables['Field of stats()["cache"]']] == list(stats["cache"])
    assert [codes(row[0])[0] for row in tables["Field of clear()"]] == list(cleared)


def test_the_example_of_the_statistics_has_their_fields(reference_pages):
    """Who copies the JSON of the page gets the fields that there are."""
    (page,) = (page for page in reference_pages if page.path.stem == "sandbox")
    (block,) = (block for block in page.blocks if block.language == "json")
    with Sandbox.create(executor=Silent()) as made:
        stats = made.cache.stats()
    shown = json.loads(block.code)
    assert list(shown) == list(stats)
    assert list(shown["cache"]) == list(stats["cache"])


def test_every_error_is_in_the_table(on_page):
    """The table of errors names those of the sandbox, all of them."""
    stated = {codes(row[0])[0] for row in on_page("sandbox")["Error"]}
    assert {name for name in sandbox.__all__ if name.endswith("Error")} <= stated


def test_the_public_names_are_explained(prose):
    """Each public name of the package stands on the page, as code."""
    coded = " ".join(re.findall(r"`([^`\n]+)`", prose("sandbox")))
    assert [name for name in sandbox.__all__ if not re.search(rf"\b{name}\b", coded)] == []


def test_the_templates_are_those_there_are(on_page):
    """Both pages list them."""
    for table in (on_page("sandbox")["Sandbox.create"], on_page("sandbox-server")["Field of a new sandbox"]):
        row = next(row for row in table if codes(row[0])[0].startswith("template"))
        assert tuple(each.strip('"') for each in codes(row[2])) == TEMPLATES


@pytest.fixture
def server_agent():
    """The agent of a sandbox, and the control plane."""
    places = Places(1)
    plane = ControlPlane(Registry(Silent(), places, SystemClock()), Secret(None))
    return agent.Agent(Sandbox.create(executor=Silent()), places, "silent", SystemClock()), plane


def test_every_route_of_an_agent_is_in_the_table(on_page, server_agent):
    """The table names each path that an agent answers, with its methods."""
    stated = {(codes(row[0])[0], row[1]) for row in on_page("sandbox-server")["Agent"]}
    assert stated == {(path, method) for path, methods in server_agent[0]._routes.items() for method in methods}


def test_every_route_of_the_control_plane_is_in_the_table(on_page, server_agent):
    """The table names each path that the control plane answers, with its methods."""
    plane = server_agent[1]
    stated = {(codes(row[0])[0], row[1]) for row in on_page("sandbox-server")["Control plane"]}
    of_one = {"/".join(("/v1/sandboxes/<id>", *tail)): methods for tail, methods in plane._of_sandbox("x").items()}
    there = {**plane._fixed, **of_one, "/v1/templates/<name>": {"GET": None}}
    assert stated == {(path, method) for path, methods in there.items() for method in methods}


def test_every_error_of_the_server_is_in_the_table(on_page, root):
    """Statuses and codes of the table are those that the code refuses with."""
    source = "".join(path.read_text() for path in sorted((root / "pyresilience/sandbox/server").glob("*.py")))
    refused = set(re.findall(r'Refused\(\s*(\d+),\s*"([A-Z_]+)"', source))
    refused |= {("503", code) for code in re.findall(r'unavailable\(\s*"([A-Z_]+)"', source)}
    assert {(row[0], code) for row in on_page("sandbox-server")["Status"] for code in codes(row[1])} == refused


def test_statuses_of_the_routes_are_those_of_the_errors(on_page):
    """A status in a table of routes is 2xx or stands in the table of errors; every error stands somewhere."""
    tables = on_page("sandbox-server")
    errors = {row[0] for row in tables["Status"]}
    stated = {status for head in ("Agent", "Control plane") for row in tables[head] for status in row[3].split(", ")}
    assert {each for each in stated if not each.startswith("2")} <= errors


def test_every_field_of_an_answer_is_in_its_table(on_page, root):
    """The tables list the fields of `/execute` and of a sandbox, in the order of the answers."""
    tables = on_page("sandbox-server")
    for head, of, name in (
        ("Field of the answer", agent._shown, "_shown"),
        ("Field of a sandbox", ControlPlane._shown, "_shown"),
    ):
        made = re.findall(r'^ +"(\w+)":', inspect.getsource(of), re.MULTILINE)
        assert [codes(row[0])[0] for row in tables[head]] == made, name


def test_every_field_of_a_request_is_in_its_table(on_page):
    """The tables name the fields that are read, all of them."""
    tables = on_page("sandbox-server")
    for head, of in (("Field of the request", agent.Agent._execute), ("Field of a new sandbox", ControlPlane._create)):
        read = set(re.findall(r'(?:text|number|flag|variables)\(fields, "(\w+)"', inspect.getsource(of)))
        read |= {"template_name"} if of is ControlPlane._create else set()
        assert {codes(row[0])[0] for row in tables[head]} == read


def test_the_numbers_of_the_server_are_those_of_the_code(prose):
    """What clients may take, and how long tokens live."""
    text = " ".join(prose("sandbox-server").split())
    taken = inspect.signature(sandbox_app).parameters
    seconds, size = taken["body_seconds"].default, taken["max_body"].default
    assert f"A body may have {size // MEBIBYTE} MiB and {seconds:g} seconds to arrive" in text
    assert f"the head of a request {HEAD_SECONDS:g} seconds" in text
    assert f"There may be {MAX_SANDBOXES} sandboxes and {WAITING} requests to run code at once" in text
    assert f"may have {MAX_ENV // 1024} KiB in all" in text
    assert f"good for {LIFE / 3600:g} hours" in text
    assert KEPT == 8 and "the eight latest" in text
    assert MAX_SECONDS == 86_400 and "number, 0 to 86 400" in text


def test_every_option_of_the_server_is_in_its_table(on_page):
    """Options and defaults of the table are those of the parser, in the order of its help."""
    (choices,) = (each.choices for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    actions = [each for each in choices["serve"]._actions if not isinstance(each, argparse._HelpAction)]
    known = [(_shown(each), "" if each.default in (None, False) else str(each.default)) for each in actions]
    assert [(row[0].strip("`"), row[1].strip("`")) for row in on_page("sandbox-server")["sandbox serve"]] == known


def _shown(action):
    """An option as the help shows it."""
    name = action.option_strings[0]
    return name if action.nargs == 0 else f"{name} {action.metavar or action.dest.upper()}"


def test_defaults_of_the_request_are_those_of_the_code(on_page):
    """What a field is when it is left out stands in the table as JSON."""
    with Sandbox.create(executor=Silent()) as made:
        timeout = made._settings.timeout
    rows = {codes(row[0])[0]: row[1].strip("`") for row in on_page("sandbox-server")["Field of the request"]}
    stated = {name: json.loads(default) for name, default in rows.items() if default}
    assert stated == {"language": "python", "timeout": timeout, "env": {}, "workdir": "/workspace", "use_cache": True}


def test_every_default_is_stated():
    """The records whose tables have no column for defaults have none to speak of."""
    assert all(
        each.default in (MISSING, False, 0.0) for each in (*fields(ExecutionResult), *fields(Execution), *fields(Job))
    )
