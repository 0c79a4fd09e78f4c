"""Code that means harm, or is badly broken: it ends, is reported, harms nobody, and leaves nothing behind."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

pytest.register_assert_rewrite("executor_contract")

from executor_contract import MIB, given, lab, needs  # noqa: E402 - pytest must know of it first

__all__ = ["given", "lab"]


def survives(lab):
    """The executor works as before."""
    assert lab.run("print('fine')").stdout == "fine\n"


def test_a_fork_bomb(lab):
    """A program that doubles itself without end is stopped by the number of processes."""
    execution = lab.run("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", timeout=0.5)
    assert execution.timed_out
    survives(lab)


def test_the_number_of_processes(lab):
    """It gets as many processes as its limit says, and an error for the next one."""
    code = """
    import os
    born = 0
    try:
        while born < 200:
            if os.fork() == 0:
                import time; time.sleep(3600)
            born += 1
    except OSError as error:
        print(error.strerror)
    print(born)
    """
    said, born = lab.run(textwrap.dedent(code), processes=20).stdout.splitlines()
    assert said == "Resource temporarily unavailable"
    assert 15 <= int(born) < 20


def test_a_shells_fork_bomb(lab):
    """The famous one."""
    lab.run("f() { f | f & }; f; wait", "bash", timeout=0.5)
    survives(lab)


def test_endless_output(lab, given):
    """Output without end is read and thrown away, and what is kept says so."""
    code = "for n in range(10**9):\n    print('x' * 10000)\n    if n == 1000: open('up', 'w')"
    execution = lab.run_until_up(code, working_dir=given, output_bytes=1000)
    assert execution.truncated
    kept, _, last = execution.stdout.rpartition("[")
    assert kept == "x" * 1000 + "\n"
    assert last.startswith("stdout cut after 1000 bytes, ")
    assert int(last.split()[5]) > 9_000_000
    assert execution.stderr == ""


def test_output_of_just_the_limit(lab):
    """What is just as long as the limit is whole; a byte more, and it is cut."""
    for length, cut in ((1000, False), (1001, True)):
        execution = lab.run(f"import sys; sys.stderr.write('e' * {length})", output_bytes=1000)
        assert execution.truncated is cut
        assert execution.stderr.startswith("e" * 1000)
        assert ("cut" in execution.stderr) is cut
        assert execution.success


def test_a_character_is_not_cut_in_two(lab):
    """A cut does not turn half a character into rubbish."""
    execution = lab.run("print('é' * 1000)", output_bytes=999)
    assert execution.stdout.partition("\n")[0] == "é" * 499


def test_a_gibibyte_of_memory(lab):
    """An allocation beyond the limit fails in the code."""
    execution = lab.run("x = bytearray(1024 ** 3)\nprint('has it')", memory_bytes=512 * MIB)
    assert (execution.exit_code, execution.stdout) == (1, "")
    assert execution.stderr.endswith("MemoryError\n")


def test_memory_of_javascript(lab):
    """Its memory is limited as well, within its heap and outside."""
    needs("javascript", lab)
    for code in ("const a = []; for (;;) a.push(new Array(1000).fill(1.5))", "Buffer.alloc(2 ** 30, 1)"):
        execution = lab.run(code, "javascript", timeout=600, memory_bytes=512 * MIB)
        assert not execution.success
        assert not execution.timed_out
    assert lab.run("console.log(1)", "javascript", memory_bytes=512 * MIB).stdout == "1\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [("def f(): f()\nf()", 1), ("import sys; sys.setrecursionlimit(10**9)\nclass A:\n  def __repr__(s): return repr(s)\nrepr(A())", None)],
)  # fmt: skip
def test_deep_recursion(lab, code, status):
    """Recursion without end is an error, or the end of the interpreter."""
    execution = lab.run(code)
    assert not execution.success
    assert status in (None, execution.exit_code)


def test_binary_output(lab):
    """Bytes that are no text are replaced."""
    execution = lab.run("import os; os.write(1, bytes(range(256))); os.write(2, b'\\xff\\xfe ok')")
    assert execution.success
    assert execution.stdout.startswith("\0\1\2")
    assert "A" in execution.stdout
    assert "\N{REPLACEMENT CHARACTER}" in execution.stdout
    assert execution.stderr.endswith(" ok")


@pytest.mark.parametrize("target", ["os.killpg(0, 9)", "os.kill(-1, 9)", "os.kill(os.getppid(), 9)", "os.kill(1, 9)"])
def test_killing_everybody(lab, target):
    """Code that kills its group, its parent or all that it can harms itself alone."""
    if not lab.is_apart():
        pytest.skip("this system separates no processes, so the code would kill this very test")
    execution = lab.run(f"import os, time\ntry: {target}\nexcept OSError: pass\ntime.sleep(0.05); print('still here')")
    assert execution.exit_code in (0, 137)
    survives(lab)


_DAEMONS = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(0); os.close(1); os.close(2)
            os.execve("/bin/sleep", ["sleep", "3600"], dict(MARK=os.environ["MARK"]))
        os._exit(0)
time.sleep(0.1)
print("left")
"""


def test_daemons_of_a_program_that_ends(lab):
    """Processes that went their own ways end with the program."""
    assert lab.run(_DAEMONS).stdout == "left\n"


def test_daemons_of_a_program_that_is_killed(lab, given):
    """Processes that went their own ways are killed with the program."""
    assert lab.run_until_up(_DAEMONS + "open('up', 'w'); time.sleep(3600)", working_dir=given).stdout == "left\n"


def test_a_child_that_holds_the_outputs(lab):
    """A run ends when its program does, though a child could still print."""
    assert lab.run("sleep 3600 & echo end", "bash").stdout == "end\n"


def test_ignoring_every_signal(lab, given):
    """Whoever ignores all signals is killed all the same."""
    code = "import signal\nfor n in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(n, signal.SIG_IGN)\n"
    lab.run_until_up(code + "open('up', 'w')\nwhile True: signal.pause()", working_dir=given)


def test_stopping_itself(lab):
    """A stopped process is killed when its time is up."""
    assert lab.run("import os; os.kill(os.getpid(), 19)", timeout=0.5).timed_out


def test_closing_the_outputs(lab):
    """Closing them is no end."""
    execution = lab.run("import os, time\nos.close(1); os.close(2); time.sleep(0.1); os._exit(5)")
    assert (execution.exit_code, execution.stdout, execution.stderr) == (5, "", "")


def test_becoming_another_program(lab):
    """A program may execute another one."""
    assert lab.run("import os; os.execv('/bin/echo', ['echo', 'other'])").stdout == "other\n"


def test_the_processor(lab):
    """Processor time is limited."""
    execution = lab.run("while True: pass", timeout=600, cpu_seconds=1)
    assert execution.exit_code == 128 + 24
    assert not execution.timed_out


def test_a_gibibyte_in_a_file(lab):
    """A file grows to the limit and no further."""
    code = "f = open('big', 'wb')\nfor _ in range(1024): f.write(bytes(2 ** 20))"
    execution = lab.run(code, file_bytes=4 * MIB)
    assert execution.exit_code == 1
    assert "File too large" in execution.stderr


def test_reading_input(lab):
    """There is no input."""
    assert "EOFError" in lab.run("input()").stderr


@pytest.mark.parametrize(
    "code",
    [
        "import os\ntry: os.chmod('.', 0)\nexcept PermissionError: pass",
        "import os; os.mkdir('a'); open('a/f', 'w').close(); os.chmod('a/f', 0); os.chmod('a', 0)",
        "for i in range(10_000): open(str(i), 'w').close()",
        "import os\nos.symlink('/', 'root'); os.symlink('/etc', 'etc'); os.symlink('nowhere', 'broken'); os.mkfifo('pipe')",
        "import os\nfor n in (b'\\xff\\xfe', b' ', b'new\\nline', b'-rf', b'\\xf0\\x9f'): os.mkdir(n); open(n + b'/' + n, 'w')",
        "import os\nfor _ in range(3000): os.mkdir('d' * 50); os.chdir('d' * 50)",
        "import os\nfor n in range(20): os.mkdir(str(n)); os.mkdir(f'{n}/{n + 1}'); os.mkdir(f'{n}/0')",
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind('socket')",
        "import os\ntry: os.rename('.', '../moved')\nexcept OSError: pass\nos.chdir('/')",
        "import os, shutil; shutil.rmtree(os.getcwd(), ignore_errors=True)",
    ],
)  # fmt: skip
def test_directories_that_are_hard_to_remove(lab, code):
    """Whatever was done to its directory, it is removed, and nothing else is."""
    execution = lab.run(code)
    assert execution.exit_code == 0, execution.stderr
    assert Path("/etc/passwd").exists()


def test_links_in_a_given_directory(lab, given):
    """A link that leads out of a given directory is not followed when what was made is given to its owner."""
    victim = given.parent / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")
    before = (victim / "file").stat()
    lab.run(f"import os; os.symlink({str(victim)!r}, 'out'); os.mkdir('made'); open('made/x', 'w')", working_dir=given)
    assert (victim / "file").stat() == before
    assert (given / "made" / "x").stat().st_uid == given.stat().st_uid


def test_huge_code(lab):
    """Ten megabytes of code run."""
    assert lab.run("x = '" + "a" * 10_000_000 + "'\nprint(len(x))").stdout == "10000000\n"


@pytest.mark.parametrize("code", ["print(1)\0", "\0", "x = '\udcff'", "print('half \ud800 pair')"])
@pytest.mark.parametrize("language", ["python", "bash", "javascript"])
def test_code_that_is_no_text(lab, language, code):
    """NUL and half characters in the code: an error of the code, or nothing to worry about, but an end."""
    needs(language, lab)
    execution = lab.run(code, language)
    assert execution.exit_code < 128
    if language == "python":
        assert not execution.success
        assert "Error" in execution.stderr


@pytest.mark.parametrize("language", ["python", "bash", "javascript"])
def test_empty_code(lab, language):
    """Nothing to do is done well."""
    needs(language, lab)
    assert lab.run("", language).exit_code == 0


def test_syntax_errors(lab):
    """They are told as the interpreter tells them."""
    assert lab.run("def f(:").stderr.rstrip().endswith("SyntaxError: invalid syntax")
    assert lab.run("if [", "bash").exit_code != 0


def test_no_time_at_all(lab):
    """Whoever is given no time is told so."""
    assert lab.run("print(1)", timeout=0).timed_out


def test_hardly_any_memory(lab):
    """With less memory than the interpreter needs it fails, and says so by its exit code."""
    assert lab.run("print(1)", memory_bytes=1).exit_code != 0
    survives(lab)


def test_it_cannot_become_root(lab):
    """No program gives back what was taken."""
    code = "import os\ntry:\n    os.setuid(0)\nexcept OSError:\n    print('no')\nelse:\n    print(os.getuid() == 0)"
    said = lab.run(code).stdout
    assert said == ("no\n" if os.geteuid() == 0 else said)
    assert "NoNewPrivs:\t1" in lab.run("print(open('/proc/self/status').read())").stdout


def test_it_inherits_no_files(lab):
    """It has its input, its outputs, and no other file."""
    with Path(os.devnull).open() as file:
        os.set_inheritable(file.fileno(), True)
        assert lab.run("import os; print(sorted(os.listdir('/proc/self/fd'))[:-1])").stdout == "['0', '1', '2']\n"
