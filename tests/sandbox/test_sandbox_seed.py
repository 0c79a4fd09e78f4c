"""The documented examples, with our import: each runs as it stands and prints what is promised.

They run on the executor that is chosen here. The pauses in them are shortened, nothing else is changed.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from pyresilience.sandbox import AsyncSandbox

BEGIN = """
from pyresilience.sandbox import Sandbox
import time

sandbox = Sandbox.create(template="code-interpreter")
"""

RETRIEVE = """
# Get cache statistics
stats = sandbox.cache.stats()

# Cache data is nested under 'cache' key
cache_data = stats['cache']
print(f"Total Hits: {cache_data['total_hits']}")
print(f"Cache Size: {cache_data['size']}")
print(f"Max Size: {cache_data['max_size']}")
print(f"TTL: {cache_data['ttl']}")
print(f"Timestamp: {stats['timestamp']}")

sandbox.kill()
"""

HITS = """
stats = sandbox.cache.stats()
cache_data = stats['cache']

print(f"Total Cache Hits: {cache_data['total_hits']}")
print(f"Current Cache Size: {cache_data['size']}")
print(f"Max Cache Size: {cache_data['max_size']}")
print(f"Cache TTL: {cache_data['ttl']}")

if cache_data['total_hits'] > 100:
    print("used effectively")
else:
    print("consider optimizing")

sandbox.kill()
"""

SIZE = """
stats = sandbox.cache.stats()
cache_data = stats['cache']

cache_size = cache_data['size']
max_size = cache_data['max_size']

print(f"Cache Size: {cache_size}")
print(f"Max Cache Size: {max_size}")
print(f"Cache TTL: {cache_data['ttl']}")

if cache_size > max_size * 0.8:
    print("approaching maximum")
elif cache_size > max_size * 0.5:
    print("moderate")
else:
    print("small")

sandbox.kill()
"""

OVER_TIME = """
# Run some code to generate cache entries
for i in range(5):
    sandbox.run_code(f"print('Execution {i}')")
    time.sleep(1)

# Check cache statistics
stats = sandbox.cache.stats()
cache_data = stats['cache']

print("Cache Performance:")
print(f"  Total Cache Hits: {cache_data['total_hits']}")
print(f"  Current Cache Size: {cache_data['size']}")
print(f"  Max Cache Size: {cache_data['max_size']}")
print(f"  Cache TTL: {cache_data['ttl']}")
print(f"  Timestamp: {stats['timestamp']}")

sandbox.kill()
"""

REPEATED = """
# Initial execution (cache miss)
code = "result = sum(range(1000000)); print(f'Sum: {result}')"
sandbox.run_code(code)

# Get initial stats
initial_stats = sandbox.cache.stats()
initial_hits = initial_stats['cache']['total_hits']
print(f"After first execution - Total Hits: {initial_hits}")

# Repeat same code (should hit cache)
sandbox.run_code(code)

# Check stats after repeat
final_stats = sandbox.cache.stats()
final_hits = final_stats['cache']['total_hits']
print(f"After repeat execution - Total Hits: {final_hits}")

if final_hits > initial_hits:
    print("cache hit confirmed")
else:
    print("no cache hit")

sandbox.kill()
"""

GROWTH = """
# Monitor cache growth
for i in range(10):
    # Execute different code each time
    sandbox.run_code(f"print('Execution {i}: {i * 10}')")

    stats = sandbox.cache.stats()
    cache_data = stats['cache']

    print(f"After execution {i+1}: Size={cache_data['size']}, Hits={cache_data['total_hits']}")
    time.sleep(0.5)

sandbox.kill()
"""

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"

EXAMPLES = {
    "retrieve": (RETRIEVE, rf"Total Hits: 0\nCache Size: 0\nMax Size: 1000\nTTL: 5m0s\nTimestamp: {STAMP}\n"),
    "hits": (
        HITS,
        "Total Cache Hits: 0\nCurrent Cache Size: 0\nMax Cache Size: 1000\nCache TTL: 5m0s\nconsider optimizing\n",
    ),
    "size": (SIZE, "Cache Size: 0\nMax Cache Size: 1000\nCache TTL: 5m0s\nsmall\n"),
    "over time": (
        OVER_TIME,
        (
            "Cache Performance:\n  Total Cache Hits: 0\n  Current Cache Size: 5\n  Max Cache Size: 1000\n"
            f"  Cache TTL: 5m0s\n  Timestamp: {STAMP}\n"
        ),
    ),
    "repeated": (
        REPEATED,
        "After first execution - Total Hits: 0\nAfter repeat execution - Total Hits: 1\ncache hit confirmed\n",
    ),
    "growth": (GROWTH, "".join(rf"After execution {n}: Size={n}, Hits=0\n" for n in range(1, 11))),
}


@pytest.fixture
def short_pauses(monkeypatch):
    """What was slept by the example, which takes a thousandth of it."""
    slept, sleep = [], time.sleep

    def doze(seconds):
        slept.append(seconds)
        sleep(seconds / 1000)

    monkeypatch.setattr(time, "sleep", doze)
    return slept


@pytest.mark.filterwarnings("ignore::pyresilience.sandbox.SandboxWarning")
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_documented_example_prints_what_is_promised(name, capsys, short_pauses):
    """It runs unchanged, and its output is that of the documentation to the letter."""
    example, expected = EXAMPLES[name]
    scope = {"__name__": "__example__"}
    exec(compile(BEGIN + example, name, "exec"), scope)
    printed = capsys.readouterr()
    assert re.fullmatch(expected, printed.out), printed.out
    assert printed.err == ""
    assert scope["sandbox"].closed
    moments = re.findall(STAMP, printed.out)
    assert all(abs((datetime.now(UTC) - datetime.fromisoformat(each)).total_seconds()) < 10 for each in moments)


def test_the_documented_response(real):
    """A fresh sandbox answers with the documented object, field by field, type by type."""
    stats = real(template="code-interpreter").cache.stats()
    documented = {"max_size": 1000, "size": 0, "total_hits": 0, "ttl": "5m0s"}
    assert list(stats["cache"])[:4] == list(documented)
    assert {name: stats["cache"][name] for name in documented} == documented
    assert [type(stats["cache"][name]) for name in documented] == [int, int, int, str]
    assert re.fullmatch(STAMP, stats["timestamp"])


def test_code_really_runs(real):
    """Output, errors, exit codes and variables are those of a Python program; a hit is the very same."""
    sandbox = real(env={"A": "sandbox", "B": "sandbox"})
    code = "import os, sys\nprint(os.environ['A'], os.environ['B'], 'é')\nprint('no', file=sys.stderr)"
    first, second = (sandbox.run_code(code, env={"B": "call"}) for _ in range(2))
    assert (first.success, first.exit_code, first.cached) == (True, 0, False)
    assert (first.stdout, first.stderr) == ("sandbox call é\n", "no\n")
    assert first.execution_time > 0
    assert second.cached
    assert (second.stdout, second.stderr, second.timestamp) == (first.stdout, first.stderr, first.timestamp)
    assert second.execution_time == first.execution_time
    assert not sandbox.run_code(code, env={"B": "other"}).cached
    failed = sandbox.run_code("import sys; print('so far'); sys.exit(3)")
    assert (failed.success, failed.exit_code, failed.stdout, failed.cached) == (False, 3, "so far\n", False)
    assert "ZeroDivisionError" in sandbox.run_code("1 / 0").stderr


def test_code_that_takes_too_long_is_ended(real):
    """What it printed so far is returned, and nothing is kept."""
    sandbox = real()
    for _ in range(2):
        for timeout in (0.5, 5, 20):  # long enough to have come to print something
            late = sandbox.run_code("import time; print('so far', flush=True); time.sleep(60)", timeout=timeout)
            assert (late.success, late.exit_code, late.timed_out, late.cached) == (False, 124, True, False)
            assert late.execution_time < timeout + 15
            if late.stdout:
                break
        assert late.stdout == "so far\n"
    assert sandbox.cache.stats()["cache"]["size"] == 0


@pytest.mark.filterwarnings("ignore::pyresilience.sandbox.SandboxWarning")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_async_twin_runs_code_too(backend):
    """The same with `await`: a run, a hit, a hundred at once, a cancelled one."""

    async def main():
        async with await AsyncSandbox.create(template="code-interpreter") as sandbox:
            first, second = await sandbox.run_code("print(1)"), await sandbox.run_code("print(1)")
            assert (first.stdout, first.cached, second.stdout, second.cached) == ("1\n", False, "1\n", True)
            results = []

            async def run():
                results.append(await sandbox.run_code("import time; time.sleep(0.05); print(time.time_ns())"))

            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(run)
            assert len({each.stdout for each in results}) == 1
            assert [each.cached for each in results].count(False) == 1
            began = time.monotonic()
            with anyio.move_on_after(0.2) as scope:
                await sandbox.run_code("import time; time.sleep(60)")
            assert scope.cancelled_caught
            assert time.monotonic() - began < 10
            stats = (await sandbox.cache.stats())["cache"]
            assert (stats["size"], stats["total_hits"]) == (2, 100)
            assert (await sandbox.cache.clear())["entries_removed"] == 2

    anyio.run(main, backend=backend)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to look for processes")
def test_an_interrupt_leaves_no_process(script):
    """Ctrl-C during a run ends it, its process included, before the program goes on."""
    said = script(
        """
        import os, signal, threading, time, warnings
        from pathlib import Path
        from pyresilience.sandbox import Sandbox

        def marked():
            found = 0
            for each in Path("/proc").glob("[0-9]*/environ"):
                try:
                    found += mark.encode() in each.read_bytes()
                except OSError:
                    pass
            return found

        def waiting():
            return any(running._attended for running in list(sandbox._runner._under_way))

        def interrupt():
            end = time.monotonic() + 20
            while not (marked() and waiting()) and time.monotonic() < end:
                time.sleep(0.01)
            print(marked() > 0)
            os.kill(os.getpid(), signal.SIGINT)

        warnings.simplefilter("ignore")
        mark = f"mark-{os.getpid()}-{time.time_ns()}"
        sandbox = Sandbox.create(env={"MARK": mark})
        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            sandbox.run_code("import time; time.sleep(60)")
        except KeyboardInterrupt:
            print(marked(), len(sandbox._runner._under_way))
        thread.join()
        print(sandbox.run_code("print('well')").stdout)
        sandbox.kill()
        """
    )
    assert said == ["True", "0", "0", "well"]


def test_the_warning_is_given_once_or_never(script):
    """Where only the plain executor is there, the first sandbox says so, and the others do not."""
    said = script(
        """
        import warnings
        from pyresilience.sandbox import Sandbox, SandboxWarning

        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            names = {Sandbox.create()._executor.name for _ in range(3)}
        print(*names, *[each.category is SandboxWarning for each in seen])
        """
    )
    assert said in (["bubblewrap"], ["subprocess", "True"])
