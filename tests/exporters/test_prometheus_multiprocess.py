"""Several processes with one directory: any of them answers for all."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from exporter_contract import cached, call, label
from prometheus_client.parser import text_string_to_metric_families

from pyresilience.exporters import PrometheusExporter
from pyresilience.metrics.exporters import multiprocess, processes, shares
from pyresilience.metrics.exporters.multiprocess import Publisher, read_states
from pyresilience.metrics.exporters.processes import Process
from pyresilience.metrics.exporters.shares import Share, gather, tidy, write
from pyresilience.metrics.latencies import Latencies
from pyresilience.metrics.snapshot import MetricSnapshot
from pyresilience.metrics.state import Circuit, State

WORKER = """
    import sys, time
    from pyresilience import CacheConfig, CircuitBreakerConfig, resilient
    from pyresilience.exporters import PrometheusExporter
    @resilient(cache=CacheConfig(enable_metrics=True), circuit_breaker=CircuitBreakerConfig())
    def f(x): return x
    exporter = PrometheusExporter(port=PORT)
    exporter.register_function(f)
    exporter.start()
    f(1)
    for line in sys.stdin:
        for _ in range(int(line)):
            f(1)
        print(exporter.port, flush=True)
"""
HITS = "pyresilience_cache_hits_total"
ENTRIES = "pyresilience_cache_entries"
LABELS = {"function": "__main__.f"}


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """The directory that the processes share."""
    directory = tmp_path / "shared"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))
    return directory


@pytest.fixture
def worker(shared):
    """Start processes that call `f` as often as they are told; they are ended at the end."""
    started = []

    def worker(port=0, code=WORKER):
        code = textwrap.dedent(code).replace("PORT", str(port))
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield worker
    for process in started:
        process.kill()
        process.communicate()


def tell(process, calls):
    """Let a worker call so often; returns its port."""
    process.stdin.write(f"{calls}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    assert answer, process.stderr.read()
    return int(answer)


def value(text, name, labels=LABELS):
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) <= 1
    return found[0] if found else None


def share(pid, *states, **facts):
    """What a process that is over has left."""
    return Share(
        list(states), Process(Process.here().machine, pid, "long ago"), name=f"pyresilience_{pid}_x.json", **facts
    )


def state(hits=1, label="f", **facts):
    return State(label, MetricSnapshot.merge(MetricSnapshot(hits=hits, entry_count=5, max_entries=10)), **facts)


def test_any_of_two_processes_answers_for_both(worker, fetch, until):
    """The sums are served by either; its own calls are in it at once."""
    first, second = worker(), worker()
    ports = tell(first, 10), tell(second, 5)
    for port in ports:
        url = f"http://127.0.0.1:{port}/metrics"
        until(lambda url=url: value(fetch(url).text, HITS) == 15)
        assert value(fetch(url).text, ENTRIES) == 2
    tell(first, 100)
    assert value(fetch(f"http://127.0.0.1:{ports[0]}/metrics").text, HITS) == 115


def test_counts_of_a_killed_process_stay_and_what_it_held_goes(worker, fetch, until):
    """After `kill -9` its counts remain in the sums; its entries do not."""
    first, second = worker(), worker()
    url = f"http://127.0.0.1:{tell(first, 10)}/metrics"
    tell(second, 5)
    until(lambda: (value(fetch(url).text, HITS), value(fetch(url).text, ENTRIES)) == (15, 2))
    os.kill(second.pid, signal.SIGKILL)
    second.wait()
    until(lambda: value(fetch(url).text, ENTRIES) == 1)
    assert value(fetch(url).text, HITS) == 15
    assert value(fetch(url).text, "pyresilience_circuit_state", {**LABELS, "state": "closed"}) == 1


def test_a_process_publishes_when_it_ends(worker, shared):
    """What was counted in its last moment is not lost."""
    process = worker()
    tell(process, 7)
    process.communicate()
    assert [each.cache.hits for each in read_states(shared)] == [7]
    assert [each.cache.entry_count for each in read_states(shared)] == [0]


def test_one_has_the_port_and_another_takes_over(worker, fetch, until, free_tcp_port):
    """All may ask for the same port; when the one that has it ends, another serves, and nothing is lost."""
    url = f"http://127.0.0.1:{free_tcp_port}/metrics"
    first = worker(free_tcp_port)
    tell(first, 3)
    second = worker(free_tcp_port)
    tell(second, 4)
    until(lambda: value(fetch(url).text, HITS) == 7)
    first.communicate()

    def served():
        try:
            return value(fetch(url).text, HITS)
        except OSError:
            return None

    until(lambda: served() == 7)
    assert "another program, or another process" in second.communicate()[1]


@pytest.mark.usefixtures("shared")
def test_stopped_in_the_moment_in_which_it_takes_over_it_serves_no_more(monkeypatch, until):
    """It is stopped by another thread while the one that has got the port ends."""
    monkeypatch.setattr("pyresilience.metrics.exporters.prometheus.RETRY", 0.01)
    first = PrometheusExporter(port=0)
    first.start()
    second = PrometheusExporter(port=first.port)
    once, stopping = second._heir.once, threading.Thread(target=second.stop)

    def last():
        if not second._heir.running:
            stopping.start()
            stopping.join(0.05)
        once()

    monkeypatch.setattr(second._heir, "once", last)
    second.start()
    first.stop()
    until(lambda: stopping.ident)
    stopping.join()
    until(lambda: not any(each.name == "pyresilience-heir" for each in threading.enumerate()))
    assert not second._server.running


def test_forked_workers(script, shared):
    """Children of a process that has begun already publish their own calls, and not their parent's once more."""
    lines = script("""
        import os, sys, time
        from pyresilience import CacheConfig, resilient
        from pyresilience.exporters import PrometheusExporter
        @resilient(cache=CacheConfig(enable_metrics=True))
        def f(x): return x
        exporter = PrometheusExporter(port=0)
        exporter.register_function(f)
        exporter.start()
        for _ in range(11): f(1)
        children = []
        for place in range(3):
            child = os.fork()
            if child == 0:
                for _ in range(100): f(1)
                sys.exit()
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        for _ in range(10): f(1)
        from urllib.request import urlopen
        text = urlopen(exporter.url).read().decode().splitlines()
        print(*[line.rpartition(" ")[2] for line in text if line.startswith("pyresilience_cache_hits_total")])
        print(*[line.rpartition(" ")[2] for line in text if line.startswith("pyresilience_cache_entries")])
    """)
    assert lines == ["320.0", "1.0"]


def test_a_forked_child_publishes_while_it_lives(script, shared):
    """It need not end first; the parent's scrape has what it counted a moment ago."""
    lines = script("""
        import os, signal
        from pyresilience import CacheConfig, resilient
        from pyresilience.exporters import PrometheusExporter
        @resilient(cache=CacheConfig(enable_metrics=True))
        def f(x): return x
        exporter = PrometheusExporter(port=None)
        exporter.register_function(f)
        exporter.start()
        child = os.fork()
        if child == 0:
            for _ in range(8): f(1)
            signal.pause()
        try:
            while 'function="__main__.f"} 7.0' not in exporter.text():
                pass
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        print("seen")
    """)
    assert lines == ["seen"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing(tmp_path, shared, method):
    """They end in a way that `atexit` does not see, and have published all the same."""
    module = tmp_path / "work.py"
    module.write_text(
        textwrap.dedent("""
        import multiprocessing, sys
        from pyresilience import CacheConfig, resilient
        from pyresilience.exporters import PrometheusExporter
        @resilient(cache=CacheConfig(enable_metrics=True))
        def f(x): return x
        exporter = PrometheusExporter(port=None)
        exporter.register_function(f)
        def work():
            exporter.start()
            for _ in range(10): f(1)
        if __name__ == "__main__":
            multiprocessing.set_start_method(sys.argv[1])
            exporter.start()
            children = [multiprocessing.Process(target=work) for _ in range(2)]
            for child in children: child.start()
            for child in children: child.join()
            text = exporter.text()
            print([line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("pyresilience_cache_hits_total")])
        """)
    )
    done = subprocess.run([sys.executable, str(module), method], capture_output=True, text=True, timeout=60)
    expected = "['0.0', '18.0']" if method != "fork" else "['18.0']"  # in the others the module is called otherwise
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_short_lived_children_leave_no_files(script, shared):
    """A child that counts nothing writes nothing."""
    assert script("""
        import os, sys
        from pyresilience import CacheConfig, resilient
        from pyresilience.exporters import PrometheusExporter
        @resilient(cache=CacheConfig(enable_metrics=True))
        def f(x): return x
        exporter = PrometheusExporter(port=None)
        exporter.register_function(f)
        exporter.start()
        for _ in range(5):
            child = os.fork()
            if child == 0:
                sys.exit()
            os.waitpid(child, 0)
        print(len([name for name in os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"]) if name.endswith(".json")]))
    """) == ["1"]


def test_metrics_of_the_client_library_in_the_same_directory(worker, shared, fetch, until):
    """With a registry that has the client's multi-process collector, both its sums and ours are served."""
    code = """
        import sys
        from prometheus_client import CollectorRegistry, Counter
        from prometheus_client.multiprocess import MultiProcessCollector
        from pyresilience import CacheConfig, resilient
        from pyresilience.exporters import PrometheusExporter
        @resilient(cache=CacheConfig(enable_metrics=True))
        def f(x): return x
        orders = Counter("orders", "Orders.")
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        exporter = PrometheusExporter(port=PORT, registry=registry)
        exporter.register_function(f)
        exporter.start()
        f(1)
        for line in sys.stdin:
            for _ in range(int(line)):
                f(1)
                orders.inc()
            print(exporter.port, flush=True)
    """
    shared.mkdir()
    first, second = worker(code=code), worker(code=code)
    tell(first, 2)
    url = f"http://127.0.0.1:{tell(second, 3)}/metrics"
    until(lambda: value(fetch(url).text, HITS) == 5)
    assert value(fetch(url).text, "orders_total", {}) == 5
    assert list(shared.glob("counter_*.db"))


def test_the_directory_is_asked_for_at_the_start(tmp_path, monkeypatch):
    """Without the variable nothing is written; with it, from the next start on; the stop publishes for the last time."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    exporter = PrometheusExporter(port=None)
    f = cached("published")
    exporter.register_function(f)
    exporter.start()
    exporter.stop()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "deep" / "below"))
    exporter.start()
    call(f, 3)
    assert value(exporter.text(), HITS, {"function": label(f)}) == 3
    exporter.stop()
    assert [(each.function, each.cache.hits) for each in read_states(tmp_path / "deep" / "below")] == [(label(f), 3)]


def test_an_exporter_has_one_file_however_often_it_is_started(shared):
    """Starting again goes on in the same file, with the same counts."""
    f = cached("again")
    exporter = PrometheusExporter(port=None)
    exporter.register_function(f)
    call(f, 2)
    for _ in range(3):
        exporter.start()
        exporter.stop()
    assert len(list(shared.glob("*.json"))) == 1
    assert [each.cache.hits for each in read_states(shared)] == [2]


def test_two_exporters_in_one_process_count_once(shared):
    """A function that both have registered stands in two files, and counts once."""
    f = cached("shared")
    exporters = [PrometheusExporter(port=None) for _ in range(2)]
    for exporter in exporters:
        exporter.register_function(f)
        exporter.start()
    call(f, 4)
    for exporter in exporters:
        assert value(exporter.text(), HITS, {"function": label(f)}) == 4
        exporter.stop()
    assert [each.cache.hits for each in read_states(shared)] == [4]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"pyresilience": 1}',
        b'{"pyresilience": 2, "process": null, "states": [], "details": {}, "absorbed": [], "ended": true}',
        b"[" * 100_000,
        json.dumps({"pyresilience": 1, "process": None, "ended": False, "absorbed": [], "details": {}, "states": [{}]}),
    ],
    ids=range(9),
)
def test_what_cannot_be_read_is_left_out(tmp_path, caplog, content):
    """A corrupt or foreign file costs one line in the log, and nothing else."""
    write(tmp_path, share(1, state(3)))
    bad = tmp_path / "pyresilience_bad.json"
    bad.write_bytes(content if isinstance(content, bytes) else content.encode())
    for _ in range(3):
        assert [each.cache.hits for each in read_states(tmp_path)] == [3]
    assert len(caplog.records) == 1
    assert str(bad) in caplog.text


def test_infinite_counts_are_not_read(tmp_path, caplog):
    """JSON that says NaN or Infinity is refused, as it would spoil every sum."""
    write(tmp_path, share(1, state(3)))
    path = next(tmp_path.glob("*.json"))
    path.write_text(path.read_text().replace('"hits":3', '"hits":Infinity'))
    assert read_states(tmp_path) == []
    assert "Infinity is no count" in caplog.text


def test_foreign_files_are_left_alone(tmp_path):
    """Reading and tidying touch no file but our own."""
    for name in ("counter_1.db", "other.json", "pyresilience.txt"):
        (tmp_path / name).write_text("mine")
    for pid in range(1, 21):
        write(tmp_path, share(pid, state()))
    tidy(tmp_path)
    assert read_states(tmp_path)[0].cache.hits == 20
    assert all((tmp_path / name).read_text() == "mine" for name in ("counter_1.db", "other.json", "pyresilience.txt"))


def test_no_directory_is_an_empty_one(tmp_path):
    """Nothing is published where nothing is."""
    assert read_states(tmp_path / "nowhere") == []


def test_a_file_cannot_be_seen_half_written(tmp_path, monkeypatch):
    """It is written beside its place, and put there as a whole."""
    write(tmp_path, share(1, state(1)))
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(OSError("power cut")))
    with pytest.raises(OSError, match="power cut"):
        write(tmp_path, share(1, state(2)))
    assert [each.cache.hits for each in read_states(tmp_path)] == [1]


def test_tidying_keeps_every_count(tmp_path):
    """Many files of ended processes become one with the same sums; again and again."""
    total = 0
    for round_ in range(3):
        for pid in range(1, 13):
            write(tmp_path, share(1000 * round_ + pid, state(pid, circuit=Circuit("open", (1, 2, 3)))))
        total += sum(range(1, 13))
        before = read_states(tmp_path)
        tidy(tmp_path)
        assert read_states(tmp_path) == before
        assert before[0].cache.hits == total
        assert before[0].circuit.transitions == tuple(12 * (round_ + 1) * each for each in (1, 2, 3))
        assert len(list(tmp_path.glob("*.json"))) == 1


def test_few_files_are_let_be(tmp_path):
    """Nothing is rewritten for a handful."""
    for pid in range(1, 6):
        write(tmp_path, share(pid, state()))
    before = {path.name for path in tmp_path.glob("*.json")}
    tidy(tmp_path)
    assert {path.name for path in tmp_path.glob("*.json")} == before


@pytest.mark.parametrize("survivors", range(0, 12, 3))
def test_tidying_may_be_interrupted_anywhere(tmp_path, monkeypatch, survivors):
    """Killed before it has removed the old files, it leaves sums that are right, and the next one goes on."""
    for pid in range(1, 13):
        write(tmp_path, share(pid, state(10)))
    real, removed = Path.unlink, []

    def unlink(path, missing_ok=False):
        if len(removed) >= survivors:
            raise KeyboardInterrupt
        removed.append(path)
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(KeyboardInterrupt):
        tidy(tmp_path)
    monkeypatch.undo()
    assert read_states(tmp_path)[0].cache.hits == 120
    for pid in range(100, 112):
        write(tmp_path, share(pid, state(1)))
    tidy(tmp_path)
    assert read_states(tmp_path)[0].cache.hits == 132
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_reading_while_others_tidy(tmp_path, monkeypatch):
    """A file that vanishes between the listing and the reading has not gone: its counts are found where they went."""
    for pid in range(1, 13):
        write(tmp_path, share(pid, state(10)))
    real, raced = shares._read, []

    def read(path):
        if not raced:
            raced.append(path)
            tidy(tmp_path)
        return real(path)

    monkeypatch.setattr(shares, "_read", read)
    assert read_states(tmp_path)[0].cache.hits == 120
    assert raced


def test_what_a_process_says_at_its_end_is_not_lost(tmp_path, monkeypatch):
    """One writes for the last time, and ends, between the reading of its file and the look whether it lives."""
    for pid in range(1, 13):
        write(tmp_path, share(pid, state(10)))
    real = Process.has_ended

    def has_ended(process):
        if process.pid == 1:
            write(tmp_path, share(1, state(11)))
        return real(process)

    monkeypatch.setattr(Process, "has_ended", has_ended)
    tidy(tmp_path)
    monkeypatch.undo()
    assert read_states(tmp_path)[0].cache.hits == 121
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_files_of_the_living_are_not_put_together(tmp_path):
    """Only what is over for certain is: a process of another machine may live, however long it has said nothing."""
    elsewhere = Process("another machine", 1, "1")
    here = Process.here()
    for place, process in enumerate([elsewhere, here] * 6):
        write(tmp_path, Share([state()], process, ended=True, name=f"pyresilience_{place}_x.json"))
    tidy(tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 12


def test_unfinished_files_are_removed_when_they_are_old(tmp_path):
    """What a process has begun and not finished for an hour, nobody will."""
    old, young = tmp_path / ".pyresilience_1_x.json.new", tmp_path / ".pyresilience_2_x.json.new"
    for path in (old, young):
        path.write_text("{")
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    tidy(tmp_path)
    assert (old.exists(), young.exists()) == (False, True)


def test_who_lives():
    """This process does; one of its number that began at another time, and a zombie, do not."""
    here = Process.here()
    assert here.has_ended() is False
    assert Process(here.machine, here.pid, "another time").has_ended() is True
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = Process(here.machine, child.pid, processes._started(child.pid))
    assert known.has_ended() is False
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert known.has_ended() is True
    child.communicate()
    assert known.has_ended() is True


def test_who_lives_elsewhere():
    """A process that cannot be looked at lives as long as it gives signs of life."""
    elsewhere = Process("another machine", 1, "1")
    assert elsewhere.has_ended() is None
    assert elsewhere.lives(time.time() - 5)
    assert not elsewhere.lives(time.time() - 60)


def test_where_a_process_cannot_be_timed_its_number_decides(monkeypatch):
    """Without /proc, a process is there or it is not."""
    here = Process.here()
    monkeypatch.setattr(processes, "_started", lambda pid: None)
    assert here.has_ended() is False
    assert Process(here.machine, 2**22 - 1, "").has_ended() is True
    monkeypatch.setattr(os, "kill", lambda pid, number: (_ for _ in ()).throw(PermissionError))
    assert here.has_ended() is False


def test_windows_and_histories_are_published(tmp_path):
    """A process that only reads has what a page draws."""
    f = cached("drawn")
    exporter = PrometheusExporter(port=None)
    exporter.register_function(f)
    call(f, 3)
    publisher = Publisher(tmp_path, exporter.states)
    publisher.start()
    (seen,) = read_states(tmp_path)
    assert seen.within(60).cache.hits == 3
    assert sum(seen.history[60]["hits"]) == 3
    publisher.stop()
    (seen,) = read_states(tmp_path)
    assert seen.cache.hits == 3
    assert seen.within(60).cache is None
    assert sum(seen.history[60]["hits"]) == 0


def test_nothing_is_written_while_nothing_changes(tmp_path, monkeypatch):
    """An idle process only confirms that it lives; if its file was removed, it writes it again."""
    states = [state(1)]
    monkeypatch.setattr(multiprocess, "SECONDS", 3600.0)
    monkeypatch.setattr(multiprocess, "DETAILS", 3600.0)
    publisher = Publisher(tmp_path, lambda *, detailed=False: list(states))
    publisher.start()
    (path,) = tmp_path.glob("*.json")
    os.utime(path, (1, 1))
    before = path.stat().st_ino
    publisher._publish()
    assert (path.stat().st_ino, path.stat().st_mtime > 1) == (before, True)
    states[0] = state(2)
    publisher._publish()
    assert read_states(tmp_path)[0].cache.hits == 2
    path.unlink()
    publisher._publish()
    assert read_states(tmp_path)[0].cache.hits == 2
    publisher.stop()


def test_the_last_word_is_the_last(tmp_path, monkeypatch):
    """A disk that takes its time keeps the stop waiting: its word does not meet, nor come before, an earlier one."""
    monkeypatch.setattr("pyresilience._every.PATIENCE", 0.01)
    monkeypatch.setattr(multiprocess, "SECONDS", 0.001)
    real, inside, begun, go_on, most = multiprocess.write, [], threading.Event(), threading.Event(), []

    def slow(directory, share):
        inside.append(share)
        most.append(len(inside))
        if threading.current_thread().name == "pyresilience-publisher":
            begun.set()
            assert go_on.wait(20)
        real(directory, share)
        inside.remove(share)

    hits = iter(range(1, 1_000_000))
    publisher = Publisher(tmp_path, lambda *, detailed=False: [state(next(hits))])
    monkeypatch.setattr(multiprocess, "write", slow)
    publisher.start()
    assert begun.wait(20)
    stopping = threading.Thread(target=publisher.stop)
    stopping.start()
    stopping.join(0.05)
    go_on.set()
    stopping.join()
    assert set(most) == {1}
    assert [share.ended for share in gather(tmp_path)] == [True]


def test_publishing_begins_and_ends_once(tmp_path):
    """Starting twice is starting once, so is stopping, and it can begin again."""
    publisher = Publisher(tmp_path, lambda *, detailed=False: [state(1)])
    publisher.stop()
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        publisher.start()
        publisher.start()
        assert publisher.running
        publisher.stop()
        publisher.stop()
        assert not publisher.running
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_a_directory_that_cannot_be_written_costs_no_call(tmp_path, monkeypatch, caplog):
    """It is logged once; the process serves its own counts."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file" / "below"))
    exporter = PrometheusExporter(port=None)
    f = cached("alone")
    exporter.register_function(f)
    exporter.start()
    call(f, 2)
    assert value(exporter.text(), HITS, {"function": label(f)}) == 2
    exporter.stop()
    assert len(caplog.records) == 1


def test_what_cannot_be_told_costs_nobody_else(tmp_path, caplog):
    """A state that JSON does not know is left out of the file, which is logged once."""
    states = [state(1, "good"), state(1, f"bad_{time.monotonic_ns()}", ttl=float("inf"))]
    for _ in range(2):
        write(tmp_path, share(1, *states))
    assert [each.function for each in read_states(tmp_path)] == ["good"]
    assert len(caplog.records) == 1


def test_sums_are_sums_of_everything(tmp_path):
    """Histograms and runs of several processes are added up, too."""
    latency = Latencies((1,) * len(Latencies().counts), 2.0)
    for pid in range(1, 4):
        write(tmp_path, share(pid, State("f", MetricSnapshot.merge(MetricSnapshot(hits=1, hit_latency=latency)))))
    (seen,) = read_states(tmp_path)
    assert (seen.cache.hit_latency.total, seen.cache.hit_latency.counts[0]) == (6.0, 3)


def test_the_latest_word_of_a_process_counts(tmp_path):
    """Of several files of one process, the one written last."""
    for place, hits in enumerate([5, 7]):
        process = Process("another machine", 1, "1")
        write(tmp_path, Share([state(hits)], process, name=f"pyresilience_1_{place}.json"))
        os.utime(tmp_path / f"pyresilience_1_{place}.json", (time.time() + place, time.time() + place))
    assert [each.cache.hits for each in read_states(tmp_path)] == [7]
    assert [each.name for each in gather(tmp_path)][-1] == "pyresilience_1_1.json"
    assert multiprocess.read_states(tmp_path, besides=Process("another machine", 1, "1")) == []
