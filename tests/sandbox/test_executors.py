"""Running code: what it gets, what it may leave in its directory, how it ends, and how it is ended."""

from __future__ import annotations

import os
import signal
import textwrap
import time
from collections.abc import Mapping

import pytest

pytest.register_assert_rewrite("executor_contract")

from executor_contract import (  # noqa: E402 - pytest must know of it first
    PATIENCE,
    given,
    lab,
    needs,
)

from pyresilience.sandbox.errors import SandboxError, UnknownLanguageError  # noqa: E402
from pyresilience.sandbox.executors import Executor, Running, runs  # noqa: E402

__all__ = ["given", "lab"]

SLEEP = "import time; print('so far', end=''); time.sleep(3600)"


def test_it_is_an_executor(lab):
    """It has what the protocol asks for."""
    assert isinstance(lab.executor, Executor)
    assert isinstance(lab.executor.languages(), Mapping)
    running = lab.start("pass")
    assert isinstance(running, Running)
    assert running.wait() == running.wait()


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import sys; print('out ✓'); print('err', file=sys.stderr)"),
        ("javascript", "console.log('out ✓'); console.error('err')"),
        ("bash", "echo 'out ✓'; echo err >&2"),
    ],
)
def test_it_runs_code(lab, language, code):
    """Both outputs come back, of every language."""
    needs(language, lab)
    execution = lab.run(code, language)
    assert (execution.exit_code, execution.stdout, execution.stderr) == (0, "out ✓\n", "err\n")
    assert 0 < execution.seconds < PATIENCE
    assert execution.success
    assert not execution.truncated


def test_unknown_languages_are_refused(lab):
    """Whoever asks for a language that is not there learns which are."""
    with pytest.raises(UnknownLanguageError, match=r"cobol.*python"):
        lab.start("x", "cobol")


@pytest.mark.parametrize(
    ("language", "code", "status"),
    [
        ("python", "raise SystemExit(3)", 3),
        ("python", "1/0", 1),
        ("python", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 128 + signal.SIGTERM),
        ("python", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL),
        ("javascript", "process.exit(7)", 7),
        ("bash", "exit 255", 255),
        ("bash", "kill -ABRT $$", 128 + signal.SIGABRT),
    ],
)
def test_exit_codes(lab, language, code, status):
    """Exit codes come through, and signals as shells say them."""
    needs(language, lab)
    execution = lab.run(code, language)
    assert execution.exit_code == status
    assert not execution.success


def test_tracebacks_show_the_code_alone(lab):
    """What an error says is what the same file says when Python runs it."""
    execution = lab.run("def f():\n    return 1 / 0\n\nf()\n")
    lines = execution.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith('main.py", line 4, in <module>')
    assert "return 1 / 0" in execution.stderr
    assert execution.stderr.count("File ") == 2
    assert lab.run("x = = 1").stderr.count("File ") == 1
    assert lab.run("print(__name__, sorted(n for n in globals() if n[0] != '_'))").stdout == "__main__ []\n"


def test_it_sees_its_environment_and_no_more(lab, monkeypatch):
    """It gets what is given, and what every program needs."""
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    env = {"LINES": "a\nb=c\n=d", "EMPTY": "", "weird.name-1": "ü ✓", "HOME": "/elsewhere"}
    execution = lab.run("import os, json; print(json.dumps(dict(os.environ)))", env=env)
    import json

    seen = json.loads(execution.stdout)
    assert {name: seen.pop(name) for name in env} == env
    assert seen.pop("MARK") == lab.mark
    assert set(seen) - {"PWD", "LC_CTYPE"} == {"PATH", "TMPDIR", "LANG"}


@pytest.mark.parametrize("env", [{"": "x"}, {"a=b": "x"}, {"a\0": "x"}, {"a": "\0"}, {"a": "x" * 200_000}])
def test_impossible_environments_are_refused(lab, env):
    """What no process can be given is refused before it starts."""
    with pytest.raises(SandboxError, match=r"variable"):
        lab.start("pass", env=env)


def test_loaders_variables_reach_the_code_and_nothing_before_it(lab, given):
    """A variable that makes programs load libraries is seen by the code, and by nothing that has privileges yet."""
    execution = lab.run("import os; print(os.environ['LD_LIBRARY_PATH'], os.getuid() != 0)",
                        env={"LD_LIBRARY_PATH": "/nowhere"}, working_dir=given)  # fmt: skip
    assert execution.stdout == f"/nowhere {True}\n" if os.geteuid() == 0 else execution.success


def test_a_private_directory(lab):
    """Without a working directory it has one of its own, empty and writable, and so are home and temporary files."""
    code = """
    import os, tempfile
    print(os.listdir("."))
    for each in (".", os.environ["HOME"], tempfile.gettempdir()):
        open(os.path.join(each, "file"), "w").write("x")
    """
    assert lab.run(textwrap.dedent(code)).stdout == "[]\n"


@pytest.mark.parametrize(
    ("language", "name", "module", "code"),
    [
        ("python", "mine.py", "x = 42", "import mine; print(mine.x); open('made', 'w').write('new')"),
        (
            "javascript", "mine.js", "exports.x = 42",
            "console.log(require('./mine').x); require('fs').writeFileSync('made', 'new')",
        ),
        ("bash", "mine.sh", "x=42", "source ./mine.sh; echo $x; echo -n new > made"),
    ],
)  # fmt: skip
def test_a_given_directory(lab, given, language, name, module, code):
    """In a given directory it finds files and modules, and what it makes there stays, and is its owner's."""
    needs(language, lab)
    (given / name).write_text(module)
    given.chmod(0o700)
    execution = lab.run(code, language, working_dir=given)
    assert (execution.stdout, execution.stderr) == ("42\n", "")
    assert {each.name for each in given.iterdir()} == {name, "made"}
    assert (given / "made").read_text() == "new"
    assert (given / "made").stat().st_uid == given.stat().st_uid


def test_a_directory_that_is_not_there(lab, tmp_path):
    """A working directory that is not there is an error that names it."""
    with pytest.raises(NotADirectoryError, match="nowhere"):
        lab.start("pass", working_dir=tmp_path / "nowhere")


def test_starting_does_not_wait_for_the_code(lab, tmp_path, monkeypatch):
    """A large program is handed over without waiting for who reads it."""
    go = tmp_path / "go"
    idle = f"import os, time\nfor _ in range(2000):\n  if os.path.exists({str(go)!r}): break\n  time.sleep(0.01)\n"
    monkeypatch.setattr(runs, "_BEGIN", idle + runs._BEGIN)
    begin = time.monotonic()
    running = lab.start("#" * 10_000_000 + "\nprint(7)")
    assert time.monotonic() - begin < PATIENCE
    go.touch()
    assert running.wait().stdout == "7\n"
