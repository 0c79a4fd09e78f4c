"""What is refused, with which error, and what the error says."""

from __future__ import annotations

import re

import pytest

from pyresilience import ResilienceError
from pyresilience.sandbox import Limits, SandboxClosedError, SandboxError, UnknownLanguageError

WRONG_RUNS = [
    ({"code": b"x"}, TypeError, "code .*bytes"),
    ({"code": None}, TypeError, "code .*NoneType"),
    ({"code": "\ud800"}, ValueError, "code "),
    ({"language": "perl"}, UnknownLanguageError, "'perl'.*bash, python"),
    ({"language": None}, (TypeError, UnknownLanguageError), "language|bash, python"),
    ({"language": ["python"]}, (TypeError, UnknownLanguageError), "language|bash, python"),
    ({"env": {"A": "\0"}}, ValueError, "env.*'A'.*NUL"),
    ({"env": {"\0": "x"}}, ValueError, "env.*NUL"),
    ({"env": {"": "x"}}, ValueError, "env.*empty"),
    ({"env": {"A=B": "x"}}, ValueError, "env.*'A=B'"),
    ({"env": {"A": 1}}, TypeError, "env.*'A'.*int"),
    ({"env": [("A", "1")]}, TypeError, "env.*list"),
    ({"timeout": 0}, ValueError, "timeout .*0"),
    ({"timeout": -1}, ValueError, "timeout .*-1"),
    ({"timeout": float("nan")}, ValueError, "timeout .*nan"),
    ({"timeout": float("inf")}, ValueError, "timeout .*inf"),
    ({"timeout": "soon"}, ValueError, "timeout .*'soon'"),
    ({"timeout": True}, TypeError, "timeout .*True"),
    ({"working_dir": "/nowhere/at/all"}, NotADirectoryError, "working_dir .*'/nowhere/at/all'"),
    ({"working_dir": __file__}, NotADirectoryError, "working_dir .*test_sandbox_refusals"),
    ({"working_dir": ""}, (NotADirectoryError, ValueError), "working_dir "),
    ({"working_dir": "\0"}, (NotADirectoryError, ValueError), "working_dir "),
    ({"working_dir": 5}, TypeError, "working_dir .*int"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), WRONG_RUNS)
async def test_a_wrong_run_is_refused_with_its_reason(colour, create, executor, wrong, kind, message):
    """The error says which argument, what it must be and what it was; nothing is run, and nothing is counted."""
    sandbox = await create()
    error = await colour.end_of(sandbox.run_code, **{"code": "x", **wrong})
    assert isinstance(error, kind), repr(error)
    assert re.search(message, str(error)), error
    assert executor.jobs == []
    assert (await colour.go(sandbox.cache.stats))["cache"]["misses"] == 0


WRONG_SANDBOXES = [
    ({"template": "perl"}, ValueError, "template .*code-interpreter, base, python.*'perl'"),
    ({"template": None}, ValueError, "template .*None"),
    ({"env": {"A": "\0"}}, ValueError, "env.*'A'"),
    ({"env": "A=1"}, TypeError, "env .*str"),
    ({"cache": None}, TypeError, "cache .*None"),
    ({"cache": 1000}, TypeError, "cache .*1000"),
    ({"timeout": 0}, ValueError, "timeout .*0"),
    ({"timeout": "soon"}, ValueError, "timeout .*'soon'"),
    ({"timeout": None}, TypeError, "timeout .*None"),
    ({"limits": 5}, TypeError, "limits .*5"),
    ({"max_concurrent": 0}, ValueError, "max_concurrent .*0"),
    ({"max_concurrent": -1}, ValueError, "max_concurrent .*-1"),
    ({"max_concurrent": 1.5}, (TypeError, ValueError), "max_concurrent .*1.5"),
    ({"max_concurrent": True}, (TypeError, ValueError), "max_concurrent .*True"),
    ({"max_wait": -1}, ValueError, "max_wait .*-1"),
    ({"max_wait": "soon"}, ValueError, "max_wait .*'soon'"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), WRONG_SANDBOXES)
async def test_a_wrong_sandbox_is_refused_with_its_reason(colour, create, wrong, kind, message):
    """The error says which setting, what it must be and what it was."""
    error = await colour.end_of(create, **wrong) if not colour.is_sync else await _end(create, wrong)
    assert isinstance(error, kind), repr(error)
    assert re.search(message, str(error)), error


async def _end(create, wrong):
    try:
        return await create(**wrong)
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpu_seconds", 0),
        ("cpu_seconds", float("nan")),
        ("cpu_seconds", float("inf")),
        ("memory_bytes", 0),
        ("file_bytes", -1),
        ("processes", 0),
        ("processes", 1.5),
        ("output_bytes", True),
        ("result_bytes", "1"),
    ],
)
def test_wrong_limits_are_refused_at_birth(field, value):
    """The error names the limit and the value."""
    with pytest.raises((TypeError, ValueError), match=f"Limits: {field} .*{value}"):
        Limits(**{field: value})


def test_the_errors_are_of_one_family():
    """Whoever catches the library's errors catches these."""
    assert issubclass(SandboxError, ResilienceError)
    assert issubclass(SandboxClosedError, SandboxError)
    assert issubclass(UnknownLanguageError, (SandboxError, ValueError))
