"""The demo as a newcomer runs it, but shorter."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks.demo", "--seconds"]

CELLS = (
    "at phase calls hit join miss reqs retry late circuit by_circuit by_rate by_bulk old none error p50 p99"
).split()


FIGURES = "The metrics of the run with the library"


@pytest.fixture(scope="module")
def output():
    """What two seconds of the demo print."""
    done = subprocess.run([*COMMAND, "2"], cwd=ROOT, capture_output=True, text=True, timeout=60, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def rows(output):
    """The rows of the first table, as dicts."""
    found = []
    for text in output.partition(" calls in ")[0].splitlines():
        cells = text.split()
        if len(cells) == len(CELLS) and re.fullmatch(r"[\d.]+", cells[0]):
            found.append(dict(zip(CELLS, cells)))
    return found


def number(text):
    return 0 if text == "·" else int(text.replace(",", ""))


def column(output, name):
    return [number(row[name]) for row in rows(output)]


def part(output, title, name):
    """The number that stands before *name* in the part of the summary under *title*."""
    return number(re.search(rf"\n +([\d,]+) +[\d.]+ % +{name}\b", output[output.index(title) :])[1])


def test_every_row_adds_up(output):
    """Each call of a row is a hit, a follower or a miss."""
    assert len(rows(output)) >= 4
    for row in rows(output):
        assert number(row["calls"]) == sum(number(row[each]) for each in ("hit", "join", "miss")), row


def test_the_summary_is_the_sum_of_the_rows(output):
    """The closing numbers are those of the table, and they add up to the number of calls."""
    calls = sum(column(output, "calls"))
    assert calls > 0
    looked, got = "looked into the cache", "What the callers got"
    assert [part(output, looked, each) for each in ("hit", "join", "miss")] == [
        sum(column(output, each)) for each in ("hit", "join", "miss")
    ]
    assert [part(output, got, each) for each in ("old", "none", "error")] == [
        sum(column(output, each)) for each in ("old", "none", "error")
    ]
    assert sum(part(output, looked, each) for each in ("hit", "join", "miss")) == calls
    assert sum(part(output, got, each) for each in ("fresh", "old", "none", "error")) == calls
    requests, saved = re.search(r"([\d,]+) requests by its own count, so ([\d,]+)", output).groups()
    assert number(requests) == sum(column(output, "reqs"))
    assert number(requests) + number(saved) == calls


def test_the_outage_is_in_it_and_no_caller_sees_an_error(output):
    """The upstream goes through its phases, and the fallback keeps every trouble from the callers."""
    assert [*dict.fromkeys(row["phase"] for row in rows(output))] == ["healthy", "slow", "outage"]
    assert rows(output)[-1]["phase"] == "healthy"
    assert sum(column(output, "error")) == 0
    assert re.search(r"of the outage [\d.]+ % of the calls were answered well", output)


def test_the_comparison_is_measured(output):
    """Without the library every call is a request, and some callers see errors; with it neither is so."""
    per_call = re.search(r"upstream requests per call +([\d.]+) +([\d.]+)", output)
    assert float(per_call[1]) < float(per_call[2]) == 1.0
    errors = re.search(r"calls that got an error +([\d.]+) % +([\d.]+) %", output)
    assert float(errors[1]) == 0.0 < float(errors[2])


def figure(output, title):
    """What the metrics say under *title*, summed over the functions."""
    row = re.search(rf"\n +{title} +(.+)", output[output.index(FIGURES) :])[1]
    return sum(map(number, row.split()))


def test_the_metrics_are_those_of_the_run(output):
    """What the page said at last, over HTTP, is what the table says and the upstream saw."""
    assert figure(output, "hits, fresh from the cache") == sum(column(output, "hit"))
    assert figure(output, "hits, joined a call under way") == sum(column(output, "join"))
    assert figure(output, "misses") == sum(column(output, "miss"))
    assert figure(output, "retries") == sum(column(output, "retry"))
    assert figure(output, "timeouts") == sum(column(output, "late"))
    assert figure(output, "refused by the circuit breaker") == sum(column(output, "by_circuit"))
    opened = re.search(r"([\d,]+) +times the circuit opened", output)[1]
    assert f"became open {opened} times" in output


def test_what_stands_under_the_table_fits_into_80_columns(output):
    """Summary, comparison and metrics are for any terminal; their prose is wrapped by it."""
    summary, _, rest = output[output.index(" calls in ") :].partition("Now the same callers")
    figures = rest[rest.index(FIGURES) :]
    compared = rest[rest.index("whole run") : rest.index(FIGURES)]
    wide = [line for line in (summary + compared + figures).splitlines() if len(line) > 80]
    assert wide == []


def ask(address, path):
    """Status and body of the answer of the page at *address*."""
    port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", address)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def calls(stats):
    """How many each function has had, as the page says."""
    return {each["function"]: each["cache"]["calls"] for each in json.loads(stats)["functions"]}


def until(demo, pattern):
    """What *demo* prints up to the line that has *pattern*."""
    lines = []
    while not re.search(pattern, lines[-1] if lines else ""):
        lines.append(demo.stdout.readline())
        assert lines[-1], demo.stderr.read()
    return "".join(lines)


def test_the_page_is_gone_with_the_demo(output):
    """Its address stands above the table, and after the demo nobody answers there."""
    address = re.search(r"statistics page: (\S+)", output.partition("---- cache ----")[0])[1]
    with pytest.raises(ConnectionRefusedError):
        ask(address, "/")


def test_the_page_is_there_while_it_runs_and_stays_if_asked_to():
    """From the first row on there are page, figures and metrics; with --keep they stay until Ctrl-C, which is no error."""
    with subprocess.Popen(
        [*COMMAND, "2", "--keep"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as demo:
        address = re.search(r"statistics page: (\S+)", until(demo, "statistics page"))[1]
        until(demo, "healthy")
        early, end = {"": 0}, time.monotonic() + 20
        while not all(early.values()):  # callers of both kinds take part, one of them perhaps a moment later
            assert time.monotonic() < end, early
            status, stats = ask(address, "/stats.json")
            assert status == 200
            early = calls(stats)
            assert [*early] == ["benchmarks.demo.clients.fetch", "benchmarks.demo.clients.fetch_async"]
        assert address in until(demo, "until Ctrl-C")
        late = calls(ask(address, "/stats.json")[1])
        assert all(late[function] > early[function] for function in early)
        assert ask(address, "/")[0] == ask(address, "/metrics")[0] == 200
        demo.send_signal(signal.SIGINT)
        assert demo.communicate(timeout=60) == ("", "")
    assert demo.returncode == 0


def test_ctrl_c_ends_it_with_the_summary_so_far():
    """After Ctrl-C there are a summary that adds up, no traceback, and the exit code that says so."""
    with subprocess.Popen(
        [*COMMAND, "60"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as demo:
        first = until(demo, r"^ +1 healthy")
        demo.send_signal(signal.SIGINT)
        rest, errors = demo.communicate(timeout=60)
    output = first + rest
    assert (demo.returncode, errors) == (130, "")
    assert "Interrupted" in rest
    assert "Side by side" not in rest
    calls = sum(column(output, "calls"))
    assert sum(part(output, "looked into the cache", each) for each in ("hit", "join", "miss")) == calls


def test_a_length_that_makes_no_sense_is_refused():
    """The command line says what it wants, and no traceback."""
    done = subprocess.run([*COMMAND, "nan"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--seconds" in done.stderr
    assert "Traceback" not in done.stderr
