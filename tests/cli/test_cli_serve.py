"""`serve`: a process of its own, from its address to its end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack

import pytest

PROMPT = 12.0
"""Seconds that an end may take on a busy machine; it is meant to take less than one."""

SHOP = """
from pyresilience import CacheConfig, resilient

@resilient(cache=CacheConfig(enable_metrics=True))
def price(item):
    return item

price("tea"), price("tea")
"""


@pytest.fixture
def shop_module(tmp_path):
    """A module in the directory that commands start in."""
    (tmp_path / "shop_of_test.py").write_text(SHOP)
    return "shop_of_test"


def address_in(line):
    found = re.fullmatch(r"Serving (http://\S+/)", line)
    assert found, line
    return found[1]


def get(url, path="", method="GET", token=None, data=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url + path, data, headers, method=method), timeout=20) as answer:
        return answer.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_the_functions_of_a_module_until_a_signal(program, shop_module, number):
    """One line tells the address, every route answers there, and a signal ends it at once, cleanly."""
    serve = program("serve", "--import", shop_module, "--port", "0")
    url = address_in(serve.line())
    assert url.startswith("http://127.0.0.1:")
    (function,) = json.loads(get(url, "stats.json"))["functions"]
    assert (function["function"], function["cache"]["hits"]) == ("shop_of_test.price", 1)
    assert b"<!doctype html>" in get(url).lower()
    assert b"pyresilience_cache_hits_total" in get(url, "metrics")
    assert json.loads(get(url, "healthz"))["status"] == "healthy"
    code, out, err, took = serve.end(number)
    assert (code, out, err) == (0, "", "")
    assert took < PROMPT


def test_a_silent_client_does_not_delay_the_end(program, shop_module):
    """Whoever is connected and says nothing, or reads nothing, is left behind."""
    serve = program("serve", "--import", shop_module, "--port", "0")
    port = int(address_in(serve.line()).rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as other:
        other.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        code, _, err, took = serve.end(signal.SIGTERM)
    assert (code, err) == (0, "")
    assert took < PROMPT


def test_the_terminal_shows_what_is_served(program, shop_module, cli):
    """`top` and `stats` read what `serve` serves."""
    url = address_in(program("serve", "--import", shop_module, "--port", "0").line())
    assert "shop_of_test.price" in cli("top", url, "--once")[1]
    assert cli("stats", url)[0] == 0


def test_a_token_lets_clear(program, shop_module):
    """With a token in the environment, and not on the command line, clearing is on."""
    serve = program(
        "serve",
        "--import",
        shop_module,
        "--port",
        "0",
        "--token-env",
        "SHOP_TOKEN",
        environment={"SHOP_TOKEN": "t0ken"},
    )
    url = address_in(serve.line())
    assert json.loads(get(url, "cache/clear", "POST", "t0ken", b"{}"))["entries_removed"] == 1
    assert get(url, "stats.json")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(url, "cache/clear", "POST", "wrong", b"{}")


def test_other_machines_need_the_token_for_everything(program, shop_module):
    """Listening on more than loopback protects every route, unless asked otherwise."""
    environment = {"SHOP_TOKEN": "t0ken"}
    common = ["serve", "--import", shop_module, "--port", "0", "--host", "0.0.0.0", "--token-env", "SHOP_TOKEN"]
    url = address_in(program(*common, environment=environment).line())
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(url, "stats.json")
    assert get(url, "stats.json", token="t0ken")
    assert get(url, "healthz")
    url = address_in(program(*common, "--protect", "clear", environment=environment).line())
    assert get(url, "stats.json")


def test_circuits_make_it_ill_where_asked_so(program, tmp_path):
    """`--open-circuits fail` reaches `/healthz`."""
    (tmp_path / "broken_of_test.py").write_text(
        "from pyresilience import *\n"
        "@resilient(cache=CacheConfig(enable_metrics=True), circuit_breaker=CircuitBreakerConfig())\n"
        "def f(): pass\n"
        "f.circuit_breaker.force_open()\n"
    )
    url = address_in(program("serve", "--import", "broken_of_test", "--port", "0", "--open-circuits", "fail").line())
    with pytest.raises(urllib.error.HTTPError, match="503"):
        get(url, "healthz")


WORKER = """
import sys
from pyresilience.metrics.exporters.multiprocess import Publisher
from pyresilience.metrics.roster import roster
from pyresilience.metrics.subject import read
from shop_of_test import price

publisher = Publisher(sys.argv[1], lambda *, detailed=False: read(roster.subjects(), detailed=detailed))
publisher.start()
print("published", flush=True)
sys.stdin.read()
publisher.stop()
"""


def test_it_shows_what_workers_publish(program, tmp_path, shop_module):
    """For a directory, the states of the processes that publish there are shown, added up."""
    (tmp_path / "states").mkdir()
    with ExitStack() as stack:
        for _ in range(2):
            worker = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WORKER, "states"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    cwd=tmp_path,
                    env={**os.environ, "PYTHONPATH": str(tmp_path)},
                )
            )
            stack.callback(worker.stdin.close)
            assert worker.stdout.readline() == b"published\n"
        serve = program("serve", "states", "--port", "0")
        url = address_in(serve.line())
        for window in ("", "?window=3600"):
            (function,) = json.loads(get(url, f"stats.json{window}"))["functions"]
            assert (function["function"], function["cache"]["calls"]) == ("shop_of_test.price", 4)
        assert json.loads(get(url, "cache/stats"))["cache"]["total_hits"] == 2
        code, _, err, _ = serve.end(signal.SIGTERM)
        assert (code, err) == (0, "")


def test_a_module_without_metrics_is_told_and_served(program, tmp_path):
    """Functions may come later; that there are none yet is said."""
    (tmp_path / "bare_of_test.py").write_text("")
    serve = program("serve", "--import", "bare_of_test", "--port", "0")
    assert json.loads(get(address_in(serve.line()), "stats.json"))["functions"] == []
    code, _, err, _ = serve.end(signal.SIGTERM)
    assert code == 0
    assert "enable_metrics=True" in err


def test_a_taken_port_is_told(cli, tmp_path):
    """The complaint names address and port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = cli("serve", str(tmp_path), "--port", str(port))
    assert (code, out) == (1, "")
    assert err.startswith("pyresilience serve: ")
    assert str(port) in err
    assert "choose another" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no/such/directory"], "'no/such/directory' does not exist"),
        (["file"], "'file' is not a directory"),
        (["--import", "no_such_module"], "no module 'no_such_module'"),
        (["--import", "pyresilience.no_such_module"], "no module 'pyresilience.no_such_module'"),
        (["--import", "needy_of_test"], "No module named 'no_such_dependency'"),
        (["--import", "raising_of_test"], "importing it raised ZeroDivisionError"),
        (["--import", "leaving_of_test"], "importing it raised SystemExit"),
        ([], "either the DIRECTORY"),
        ([".", "--import", "os"], "either the DIRECTORY"),
        ([".", "--host", "0.0.0.0"], "--token-env"),
        ([".", "--host", ""], "--token-env"),
        ([".", "--host", "::"], "--token-env"),
        ([".", "--host", "no.such.host.invalid"], "no address of this machine"),
        ([".", "--protect", "all"], "--token-env"),
        ([".", "--token-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        ([".", "--token-env", "BAD_TOKEN"], "visible ASCII"),
    ],
)
def test_what_cannot_be_served_is_told(cli, tmp_path, monkeypatch, arguments, words):
    """Exit code 1, and the last line of the complaint says what is wrong."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("BAD_TOKEN", "with space")
    (tmp_path / "file").touch()
    (tmp_path / "raising_of_test.py").write_text("1 / 0")
    (tmp_path / "leaving_of_test.py").write_text("raise SystemExit(0)")
    (tmp_path / "needy_of_test.py").write_text("import no_such_dependency")
    if "no.such.host.invalid" in arguments:
        monkeypatch.setattr(socket, "getaddrinfo", unknown)  # no name server is asked
    code, out, err = cli("serve", *arguments, "--port", "0")
    assert (code, out) == (1, "")
    assert words in err.splitlines()[-1]


def unknown(*_, **__):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_only_loopback_is_this_machine(host, here):
    """Every way to write an address that others can reach is seen."""
    from pyresilience.cli.serve import _is_loopback

    assert _is_loopback(host) is here
