"""JsonFileExporter: counting goes on where the last process was, whatever happened to the file."""

import errno
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading

import pytest
from exporter_contract import HOSTILE, ExporterContract, cached, label, until

from pyresilience import CacheConfig, FallbackConfig, RetryConfig, resilient
from pyresilience.exporters import JsonFileExporter, StatsDExporter
from pyresilience.metrics import CacheMetrics, MetricSnapshot, PipelineMetrics
from pyresilience.metrics.exporters import state_file
from pyresilience.metrics.exporters.restored import restored

VERSION = {"format": "pyresilience metrics", "version": 1}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.json"


@pytest.fixture
def make(path):
    """Make exporters that are stopped at the end."""
    made = []

    def make(where=path, **settings):
        made.append(JsonFileExporter(where, **{"interval": 3600, **settings}))
        return made[-1]

    yield make
    for exporter in made:
        exporter.stop()


@pytest.fixture
def exporter(make):
    return make()


@pytest.fixture
def next_process():
    """From now on it is as in a new process, which has restored nothing yet."""
    return restored.renew


def states(path):
    return {state.function: state for state in JsonFileExporter.read(path)}


def write(path, *states):
    state_file.save(path, states)


class TestContract(ExporterContract):
    """It keeps what every exporter keeps."""

    @pytest.fixture
    def exporter(self, make):
        return make()

    @pytest.fixture(autouse=True)
    def _path(self, path):
        self.path = path

    def hits(self, exporter, label):
        exporter.flush()
        found = states(self.path).get(label)
        return None if found is None or found.cache is None else found.cache.hits


def fresh():
    """The same function as it is in each new process."""

    @resilient(
        cache=CacheConfig(enable_metrics=True),
        retry=RetryConfig(max_attempts=2, delay=0),
        fallback=FallbackConfig(handler="instead"),
    )
    def price(x):
        if x < 0:
            raise ValueError("no")
        return x

    return price


def live(make, next_process, *calls, before=True, **settings):
    """A process: it starts, makes *calls*, and ends. What its metrics say at the end."""
    next_process()
    exporter, f = make(**settings), fresh()
    if before:
        exporter.register_function(f)
    exporter.start()
    if not before:
        exporter.register_function(f)
    for x in calls:
        f(x)
    exporter.stop()
    return f


@pytest.mark.parametrize("before", [True, False], ids=["registered before", "registered after"])
def test_counting_goes_on(make, next_process, path, before):
    """Three processes, one after another: totals of the cache and of the runs, durations included, are of them all."""
    for n in (1, 2, 3):
        f = live(make, next_process, 1, 1, 1, 2, -1, before=before)
        stats, runs = f.metrics.get_stats(), f.pipeline.metrics.get_stats(label(f))
        assert (stats.hits, stats.misses, stats.recalculations) == (2 * n, 3 * n, 3 * n)
        assert (stats.hit_latency.count, stats.load_latency.count) == (2 * n, 3 * n)
        assert (runs.success, runs.fallback, runs.retries) == (2 * n, n, n)
        assert runs.latency.count == 3 * n
        told = states(path)[label(f)]
        assert told.cache == stats
        assert told.runs == runs


def test_windows_begin_empty(make, next_process):
    """What an earlier process counted was not counted in the last minute."""
    live(make, next_process, 1, 1, 1)
    f = live(make, next_process, 1)
    assert f.metrics.get_stats().total_calls == 4
    assert f.metrics.get_stats("1m").total_calls == 1


def test_what_a_cache_holds_is_not_restored(make, next_process, path):
    """Entries and bytes are what is there now; also those of a function that has not come yet are none."""
    live(make, next_process, 1, 2, 3)
    assert states(path)[label(fresh())].cache.entry_count == 3
    f = live(make, next_process)
    assert f.metrics.get_stats().entry_count == 0
    live(make, next_process, 1)
    next_process()
    exporter = make()
    exporter.start()
    exporter.stop()
    assert states(path)[label(f)].cache.entry_count == 0


def test_nothing_is_restored_twice(make, next_process, path):
    """Starting, stopping and registering again, with this exporter or another, doubles nothing."""
    live(make, next_process, 1, 1)
    next_process()
    f = fresh()
    for _ in range(3):
        exporter = make()
        for _ in range(2):
            exporter.register_function(f)
            exporter.start()
            exporter.register_function(f)
            exporter.flush()
            exporter.stop()
    assert f.metrics.get_stats().total_calls == 2
    assert states(path)[label(f)].cache.total_calls == 2


def test_a_function_without_a_past_is_not_given_its_own(make, next_process, path):
    """What this process has written itself is not an earlier count."""
    next_process()
    exporter, f = make(), fresh()
    exporter.register_function(f)
    for _ in range(3):
        exporter.start()
        f(1)
        exporter.stop()
    assert f.metrics.get_stats().total_calls == 3
    assert states(path)[label(f)].cache.total_calls == 3


def test_what_is_not_registered_stays(make, next_process, path):
    """A process that does not know a function yet does not forget it."""
    f = live(make, next_process, 1, 1)
    next_process()
    exporter = make()
    exporter.register_function(cached("another"))
    exporter.start()
    exporter.flush()
    assert states(path)[label(f)].cache.total_calls == 2
    f = fresh()
    f(1)
    exporter.register_function(f)
    assert f.metrics.get_stats().total_calls == 3
    exporter.stop()
    assert states(path)[label(f)].cache.total_calls == 3


def test_metrics_of_ones_own_are_restored(make, next_process, path):
    """A `CacheMetrics` under a name is, a snapshot from elsewhere is written as it is."""
    for n in (1, 2):
        next_process()
        exporter, metrics = make(), CacheMetrics()
        exporter.export_metrics("own", metrics)
        exporter.start()
        exporter.export_metrics("elsewhere", MetricSnapshot(hits=5))
        metrics.record_hit()
        exporter.stop()
        assert {name: state.cache.hits for name, state in states(path).items()} == {"own": n, "elsewhere": 5}


def test_runs_of_a_function_without_a_cache_are_restored(make, next_process):
    """A pipeline with `PipelineMetrics` counts on as well."""
    for n in (1, 2):
        next_process()

        @resilient(listeners=[PipelineMetrics()])
        def f():
            return 1

        exporter = make()
        exporter.register_function(f)
        exporter.start()
        f()
        exporter.stop()
        assert f.pipeline.metrics.get_stats(label(f)).success == n


def test_metrics_that_functions_share_are_restored_once(make, next_process):
    """Whichever of them is registered first."""
    for n, turn in ((1, 1), (2, -1), (3, 1)):
        next_process()
        exporter, metrics = make(), CacheMetrics()
        for name in ("one", "other")[::turn]:
            exporter.export_metrics(name, metrics)
        exporter.start()
        metrics.record_hit()
        exporter.stop()
        assert metrics.get_stats().hits == n


def test_restore_may_be_refused(make, next_process, path):
    """`restore=False` begins anew, and overwrites."""
    live(make, next_process, 1, 1)
    f = live(make, next_process, 1, restore=False)
    assert f.metrics.get_stats().total_calls == 1
    assert states(path)[label(f)].cache.total_calls == 1


def test_hostile_names_come_back(make, next_process, path):
    """Every name is a name, also after a round through the file."""
    for n in (1, 2):
        next_process()
        exporter, found = make(), {name: CacheMetrics() for name in HOSTILE}
        for name, metrics in found.items():
            metrics.record_hit()
            exporter.export_metrics(name, metrics)
        exporter.start()
        exporter.stop()
        assert {name: state.cache.hits for name, state in states(path).items()} == dict.fromkeys(HOSTILE, n)


def test_differences_leave_out_what_was_restored(make, next_process, monkeypatch):
    """An exporter that sends differences does not send again what an earlier process has sent, whoever starts first."""
    sent = []
    monkeypatch.setattr(StatsDExporter, "_send", lambda self, message: sent.append(message))
    live(make, next_process, 1, 1, 1)
    for order in (1, -1):
        next_process()
        f, statsd, keeper = fresh(), StatsDExporter(interval=3600), make()
        f(1)
        f(1)
        for exporter in (statsd, keeper)[::order]:
            exporter.register_function(f)
            exporter.start()
            exporter.flush()
        f(1)
        keeper.stop()
        statsd.stop()
        counts = [line for message in sent for line in message.split(b"\n") if b"cache.hits:" in line]
        assert sum(int(line.split(b":")[1].split(b"|")[0]) for line in counts) == 2
        sent.clear()


def text_of(tmp_path):
    """The text of a good file."""
    file = tmp_path / "good.json"
    exporter, f = JsonFileExporter(file), fresh()
    f(1)
    exporter.register_function(f)
    exporter.flush()
    exporter.stop()
    return file.read_text()


BROKEN = {
    "empty": lambda text: "",
    "truncated": lambda text: text[: len(text) // 2],
    "binary": lambda text: "\x00\x01\x02",
    "a list": lambda text: "[]",
    "a number": lambda text: "17",
    "foreign": lambda text: '{"name": "somebody else\'s", "version": 1}',
    "without states": lambda text: json.dumps(VERSION),
    "states are none": lambda text: json.dumps({**VERSION, "states": [1, 2]}),
    "states are text": lambda text: json.dumps({**VERSION, "states": "abc"}),
    "a state lacks all": lambda text: json.dumps({**VERSION, "states": [{}]}),
    "too new": lambda text: text.replace('"version": 1', '"version": 2'),
    "version missing": lambda text: text.replace('"version": 1, ', ""),
    "negative": lambda text: text.replace('"misses":1', '"misses":-1'),
    "not a number": lambda text: text.replace('"misses":1', '"misses":NaN'),
    "endless": lambda text: text.replace('"misses":1', '"misses":1e999'),
    "enormous": lambda text: text.replace('"misses":1', '"misses":1' + "0" * 400),
    "no count at all": lambda text: text.replace('"success":1', '"success":null'),
    "text for a count": lambda text: text.replace('"misses":1', '"misses":"many"'),
    "a bucket too few": lambda text: text.replace('"counts":[0,', '"counts":['),
    "deep": lambda text: "[" * 100_000,
    "too long": lambda text: text + " " * state_file.LARGEST,
    "not UTF-8": lambda text: b'{"format": "\xff\xfe"}',
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_cannot_be_used(make, next_process, path, tmp_path, caplog, how):
    """It is kept aside, one line says what to do, and the service counts from nothing; the next process goes on."""
    broken = BROKEN[how](text_of(tmp_path))
    broken = broken if isinstance(broken, bytes) else broken.encode()
    path.write_bytes(broken)
    f = live(make, next_process, 1, 1)
    assert f.metrics.get_stats().total_calls == 2
    [record] = caplog.records
    assert str(path) in record.getMessage()
    assert "metrics.json.corrupt" in record.getMessage()
    assert record.exc_info is None
    assert path.with_name("metrics.json.corrupt").read_bytes() == broken
    assert live(make, next_process, 1).metrics.get_stats().total_calls == 3
    assert len(caplog.records) == 1


def test_reading_a_broken_file_says_which(path):
    """`read` raises, and leaves it where it is."""
    path.write_text("{")
    with pytest.raises(ValueError, match=r"metrics\.json: .*JSON"):
        JsonFileExporter.read(path)
    assert path.read_text() == "{"
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        JsonFileExporter.read(path.with_name("nothing.json"))


def denied(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_file_that_may_not_be_read(make, next_process, path, monkeypatch, caplog):
    """It is kept aside like any other that is of no use."""
    path.write_text("{}")
    with monkeypatch.context() as locked:
        locked.setattr(type(path), "read_bytes", denied)
        f = live(make, next_process, 1)
    assert f.metrics.get_stats().total_calls == 1
    assert "Permission denied" in caplog.records[0].getMessage()
    assert path.with_name("metrics.json.corrupt").exists()
    assert states(path)[label(f)].cache.total_calls == 1


def test_a_file_that_cannot_be_kept_aside_is_not_overwritten(make, path, monkeypatch, caplog):
    """Rather nothing is written, until somebody makes room."""
    path.write_text("precious")
    exporter = make()
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    with monkeypatch.context() as locked:
        locked.setattr("pyresilience.metrics.exporters.json_file.set_aside", denied)
        exporter.start()
        exporter.flush()
        assert path.read_text() == "precious"
        assert len(caplog.records) == 1
    exporter.flush()
    assert states(path)["f"].cache.hits == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_what_is_no_file_is_left_alone(make, path, caplog):
    """Reading from a pipe would take for ever."""
    os.mkfifo(path)
    exporter = make()
    exporter.start()
    exporter.flush()
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert "no regular file" in caplog.records[0].getMessage()


def test_a_full_disk_is_logged_once_and_tried_again(make, path, monkeypatch, caplog):
    """What was there before stays, nothing is left lying about, and once there is room the file is written."""
    caplog.set_level(logging.INFO, "pyresilience")
    exporter, metrics = make(), CacheMetrics()
    exporter.export_metrics("f", metrics)
    exporter.start()
    metrics.record_hit()
    exporter.flush()
    before = path.read_text()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        for _ in range(3):
            metrics.record_hit()
            exporter.flush()
        assert path.read_text() == before
        assert sorted(each.name for each in path.parent.iterdir()) == ["metrics.json", "metrics.json.lock"]
    exporter.flush()
    assert states(path)["f"].cache.hits == 4
    assert ["No space left" in record.getMessage() for record in caplog.records] == [True, False]
    assert "works again" in caplog.records[1].getMessage()


def test_a_directory_that_is_missing(make, tmp_path, caplog):
    """The program starts; the line names the directory; when it is there, the file is written."""
    file = tmp_path / "later" / "metrics.json"
    exporter = make(file)
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.start()
    exporter.flush()
    [record] = caplog.records
    assert "later" in record.getMessage()
    file.parent.mkdir()
    exporter.flush()
    assert states(file)["f"].cache.hits == 1


def test_a_state_that_json_cannot_hold_costs_no_other(make, path, caplog):
    """It is left out, which is logged once."""
    exporter = make()
    exporter.export_metrics("bad", MetricSnapshot(hits=1, avg_latency_ms=float("nan"), total_size_bytes=float("nan")))
    exporter.export_metrics("good", MetricSnapshot(hits=1))
    exporter.flush()
    exporter.flush()
    assert list(states(path)) == ["good"]
    assert ["'bad'" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_permissions_are_kept(make, path):
    """A new file has those that any new file has; an old one keeps its own."""
    umask = os.umask(0o027)
    try:
        exporter = make()
        exporter.flush()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        exporter.flush()
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(umask)


def test_a_link_stays_a_link(make, path, tmp_path):
    """The file that it points to is written."""
    real = tmp_path / "elsewhere" / "real.json"
    real.parent.mkdir()
    path.symlink_to(real)
    exporter = make()
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.flush()
    assert path.is_symlink()
    assert states(real)["f"].cache.hits == 1


def test_a_file_that_was_begun_by_the_dead_is_no_hindrance(make, path):
    """What a killed process left behind is replaced."""
    path.with_name(".metrics.json.new").write_text("half of i")
    exporter = make()
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.flush()
    assert states(path)["f"].cache.hits == 1
    assert not path.with_name(".metrics.json.new").exists()


def test_readers_never_see_half_a_file(make, path):
    """While it is written again and again, each reading is a whole one."""
    exporter, metrics = make(interval=0.001), CacheMetrics()
    for n in range(50):
        exporter.export_metrics(f"f{n}", metrics)
    exporter.flush()
    exporter.start()
    seen = 0
    for _ in range(50):
        metrics.record_hit()
        found = states(path)
        assert len(found) == 50
        assert found["f0"].cache.hits >= seen
        seen = found["f0"].cache.hits
    exporter.stop()
    assert states(path)["f0"].cache.hits == 50


def test_another_exporter_of_the_same_file_waits(make, path, caplog):
    """It leaves the file alone and says who has it; when that one ends, it goes on from there."""
    first, metrics = make(), CacheMetrics()
    first.export_metrics("f", metrics)
    first.start()
    second, others = make(), CacheMetrics()
    second.export_metrics("f", others)
    second.start()
    metrics.record_hit()
    others.record_hit()
    second.flush()
    first.flush()
    assert states(path)["f"].cache.hits == 1
    [record] = caplog.records
    assert str(os.getpid()) in record.getMessage()
    assert "metrics-{pid}.json" in record.getMessage()
    first.stop()
    second.flush()
    assert states(path)["f"].cache.hits == 2
    assert others.get_stats().hits == 2
    second.stop()
    assert [each.name for each in path.parent.iterdir()] == ["metrics.json"]


RIVAL = """
    import sys, time
    from pyresilience.exporters import JsonFileExporter
    from pyresilience.metrics import CacheMetrics
    exporter, metrics = JsonFileExporter(sys.argv[1], interval=0.01), CacheMetrics()
    exporter.export_metrics("f", metrics)
    metrics.record_hit()
    exporter.start()
    exporter.flush()
    print("ready", flush=True)
    sys.stdin.readline()
    if sys.argv[2] == "stop":
        exporter.stop()
    print("done", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def rival(path):
    """Another process with the same file."""
    rivals = []

    def start(how="run", where=path):
        command = [sys.executable, "-c", textwrap.dedent(RIVAL), str(where), how]
        rivals.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        assert rivals[-1].stdout.readline() == "ready\n"
        return rivals[-1]

    yield start
    for each in rivals:
        each.kill()
        each.communicate()


def test_two_processes_do_not_destroy_each_other(make, path, rival, caplog, next_process):
    """The second one is refused, by name of the first; when that is killed, it takes over with all its counts."""
    first = rival()
    next_process()
    exporter, metrics = make(), CacheMetrics()
    exporter.export_metrics("f", metrics)
    exporter.start()
    exporter.flush()
    assert str(first.pid) in caplog.records[0].getMessage()
    assert len(caplog.records) == 1
    metrics.record_hit()
    exporter.flush()
    assert states(path)["f"].cache.hits == 1
    first.send_signal(signal.SIGKILL)
    first.wait()
    exporter.flush()
    assert states(path)["f"].cache.hits == 2
    assert len(caplog.records) == 1


def test_each_process_may_have_its_own(make, tmp_path, rival):
    """`{pid}` in the path; `read` adds them up, and so does `MetricSnapshot.merge`."""
    pattern = tmp_path / "metrics-{pid}.json"
    one, other = rival(where=pattern), rival(where=pattern)
    exporter, metrics = make(pattern), CacheMetrics()
    exporter.export_metrics("f", metrics)
    metrics.record_hit()
    exporter.flush()
    assert exporter.path == tmp_path / f"metrics-{os.getpid()}.json"
    names = {each.name for each in tmp_path.glob("*.json")}
    assert names == {f"metrics-{pid}.json" for pid in (one.pid, other.pid, os.getpid())}
    [state] = JsonFileExporter.read(pattern)
    assert (state.function, state.cache.hits) == ("f", 3)
    single = [each for name in names for each in JsonFileExporter.read(tmp_path / name)]
    assert MetricSnapshot.merge(*(each.cache for each in single)).hits == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_leaves_the_file_to_its_parent(make, path, next_process):
    """It is refused the file, writes one of its own, and takes nothing from its parent's."""
    live(make, next_process, 1, 1)
    next_process()
    exporter, f = make(), fresh()
    exporter.register_function(f)
    exporter.start()
    f(1)
    child = os.fork()
    if child == 0:  # the child
        try:
            f(1)
            exporter.start()
            exporter.flush()
            exporter.stop()
            own = JsonFileExporter(path.with_name("own-{pid}.json"))
            own.register_function(f)
            own.start()
            own.stop()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert states(path.with_name("own-{pid}.json"))[label(f)].cache.total_calls == 1
    f(1)
    exporter.flush()
    assert states(path)[label(f)].cache.total_calls == 4
    rivals = make()
    with pytest.raises(BlockingIOError):
        rivals._open()


def test_a_program_that_ends_has_written_everything(script, path):
    """It needs no `stop()`; and the next one goes on."""
    for n in ("1", "2"):
        assert script(f"""
            from pyresilience.exporters import JsonFileExporter
            from pyresilience.metrics import CacheMetrics
            exporter, metrics = JsonFileExporter({str(path)!r}), CacheMetrics()
            exporter.export_metrics("f", metrics)
            exporter.start()
            metrics.record_hit()
            print(metrics.get_stats().hits)
        """) == [n]
    assert states(path)["f"].cache.hits == 2


def test_an_interval_passes_and_it_is_written(make, path):
    """Nobody has to ask."""
    exporter = make(interval="20ms")
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.start()
    until(path.exists, "the file")


def test_calls_go_on_while_it_is_written(make, monkeypatch):
    """A disk that takes its time holds up no call."""
    exporter, f = make(), fresh()
    exporter.register_function(f)
    begun, go_on = threading.Event(), threading.Event()
    real = os.fsync

    def slow(descriptor):
        begun.set()
        assert go_on.wait(20)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    writer = threading.Thread(target=exporter.flush)
    writer.start()
    assert begun.wait(20)
    for _ in range(100):
        f(1)
    go_on.set()
    writer.join()
    assert f.metrics.get_stats().total_calls == 100


def test_the_file_says_what_it_is(exporter, path):
    """Format, version and time stand in front, for whoever finds it."""
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.flush()
    document = json.loads(path.read_text())
    assert (document["format"], document["version"]) == ("pyresilience metrics", 1)
    assert document["pid"] == os.getpid()
    assert document["states"][0]["function"] == "f"


def test_sampled_counts_are_kept_as_they_are(make, path, next_process):
    """Nothing is scaled up, neither in the file nor after the next start."""
    for n in (1, 2):
        next_process()
        exporter, metrics = make(), CacheMetrics(sampling_rate=0.5)
        metrics.skip, metrics.draw = 0, lambda: 0  # each call is drawn
        exporter.export_metrics("f", metrics)
        exporter.start()
        for _ in range(4):
            metrics.record_hit()
        exporter.stop()
        assert states(path)["f"].cache.hits == 4 * n
        assert states(path)["f"].cache.sampling_rate == 0.5


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"path": ""}, ValueError, "path must name a file"),
        ({"path": " "}, ValueError, "path must name a file"),
        ({"path": "a\0b"}, ValueError, "path must name a file"),
        ({"path": None}, TypeError, "path must be"),
        ({"path": b"x"}, TypeError, "path must be"),
        ({"path": 3}, TypeError, "path must be"),
        ({"path": "/"}, ValueError, "got the directory"),
        ({"path": "x", "interval": 0}, ValueError, "interval must be > 0"),
        ({"path": "x", "interval": "x"}, ValueError, "interval must be a duration"),
        ({"path": "x", "restore": "yes"}, TypeError, "restore must be"),
    ],
)
def test_settings_are_checked(settings, kind, words):
    """The error says which and why, at once."""
    with pytest.raises(kind, match=words):
        JsonFileExporter(**settings)
