"""The code of every page runs, in order, in one namespace per page."""

import re
import subprocess
import sys
from types import ModuleType

import pytest

LANGUAGES = {"python", "text", "bash", "console", "json", "toml", "yaml"}


@pytest.mark.filterwarnings("ignore::pyresilience.sandbox.SandboxWarning")  # there may be no bubblewrap here
@pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")  # the vendor's client imports what is outdated
def test_the_code_of_a_page_runs(code_page, monkeypatch):
    """Each Python block of a page runs after those before it, and a program that it starts has ended with it."""
    module = ModuleType("a_page_of_the_docs")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    try:
        for block in code_page.python:
            padding = "\n" * (block.line - 1)  # so that a traceback shows the line of the page
            exec(compile(padding + block.code, str(code_page.path), "exec"), module.__dict__)
    finally:
        left = _ended(each for each in vars(module).values() if isinstance(each, subprocess.Popen))
    assert not left


def _ended(programs):
    """End those that run still; who they were."""
    left = [each for each in programs if each.poll() is None]
    for each in left:
        each.kill()
        each.communicate()
    return [each.args for each in left]


def test_the_tests_of_a_page_pass(tested_page, tmp_path):
    """What a page shows as a test is one, fixtures included."""
    file = tmp_path / "test_of_the_page.py"
    file.write_text("\n\n".join(block.code for block in tested_page.python), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(file)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_every_block_says_what_it_is(page):
    """No block escapes the test above by an unusual label, or by none."""
    assert {block.language for block in page.blocks} <= LANGUAGES


def test_every_example_checks_itself(code_page):
    """A page that shows Python asserts what it shows."""
    assert any("assert " in block.code for block in code_page.python)


def test_there_are_pages_with_code_and_with_tests(all_pages):
    """The tests above look at something."""
    assert sum(bool(page.python) for page in all_pages) > 20
    assert sum(page.has_tests for page in all_pages) >= 2


def test_no_example_waits(page):
    """The examples are quick: no sleep of a real clock above 50 ms is written in them."""
    for block in page.blocks:
        for amount in re.findall(r"(?:time|anyio|asyncio|trio)\.sleep\(([^)]*)\)", block.code):
            assert float(amount) <= 0.05
