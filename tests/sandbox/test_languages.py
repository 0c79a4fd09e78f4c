"""Which interpreters there are, and what they are."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyresilience.sandbox import languages
from pyresilience.sandbox.errors import UnknownLanguageError


@pytest.fixture
def fresh():
    """What was found is forgotten, before and after."""
    languages.interpreters.cache_clear()
    yield
    languages.interpreters.cache_clear()


def test_python_is_always_there():
    """It is the interpreter beneath the virtual environment, and says its version and place."""
    python = languages.interpreter("python")
    assert python.identity == f"cpython {platform.python_version()} {os.path.realpath(sys.executable)}"
    assert Path(python.path).exists()
    assert not Path(python.path).is_symlink()


@pytest.mark.parametrize(("language", "program"), [("javascript", "node"), ("bash", "bash")])
def test_others_where_they_are(language, program):
    """The others are there if their interpreter is, with the version that it tells."""
    path = shutil.which(program)
    assert (language in languages.interpreters()) is (path is not None)
    if path is not None:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        name, version, place = languages.interpreter(language).identity.split(" ", 2)
        assert name == program
        assert version in said
        assert place == os.path.realpath(path)


def test_they_are_looked_for_once(fresh, monkeypatch):
    """Asking again starts no program."""
    first = languages.interpreters()
    monkeypatch.setattr(subprocess, "run", None)
    assert languages.interpreters() is first


def test_what_is_missing_or_broken_is_left_out(fresh, monkeypatch, tmp_path):
    """An interpreter that does not start, or does not tell its version, is none."""
    for name, text in (("node", "#!/bin/sh\nexit 1"), ("bash", "#!/bin/sh\necho nonsense")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(languages.interpreters()) == ["python"]
    monkeypatch.setattr(languages, "SEARCHED", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    languages.interpreters.cache_clear()
    assert list(languages.interpreters()) == ["python"]


@pytest.mark.parametrize("language", ["cobol", "", "Python", None, 7, ["python"]])
def test_unknown_languages(language):
    """Whatever is no language that is there is refused, with those that are."""
    with pytest.raises(UnknownLanguageError, match="python") as caught:
        languages.interpreter(language)
    assert repr(language) in str(caught.value)


def test_who_may_read_an_interpreter(tmp_path):
    """An interpreter in a directory of somebody's own is not for everybody."""
    path = tmp_path / "node"
    path.touch(0o755)
    tmp_path.chmod(0o700)
    mine = languages.Interpreter("javascript", str(path), "node 1", ".js", ())
    assert not mine.for_everybody
    assert languages.Interpreter("bash", "/bin/sh", "bash 1", ".sh", ()).for_everybody


def test_memory_of_javascript():
    """Its heap may use three quarters of the memory, and never less than it needs to start."""
    node = languages.Interpreter("javascript", "/node", "node 1", ".js", (), reads_stdin=True, reserves=True)
    assert node.command("main.js", 1024**3) == ["/node", "--max-old-space-size=768", "-"]
    assert node.command("main.js", 1) == ["/node", "--max-old-space-size=16", "-"]
