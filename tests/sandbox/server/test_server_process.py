"""`serve` as a process: its address, its end, what it refuses, and clients on real connections."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server_processes import PATIENCE, Served, until

from pyresilience.sandbox.server.command import main
from pyresilience.sandbox.server.serving import serve as serve_app

PROMPT = 12.0
"""Seconds that an end may take on a busy machine; it is meant to take less than two. Slow clients have 15 and more."""


def processes_with(mark):
    """The processes whose command line or environment holds *mark*."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            texts = [(place / name).read_bytes() for name in ("cmdline", "environ")]
            state = (place / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and any(mark.encode() in text for text in texts):
            found.append(int(place.name))
    return found


def sleeper(mark):
    """A request to run what sleeps, also in a grandchild, where *mark* tells that it runs."""
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)  # {mark}']); time.sleep(600)"
    return {"code": code, "env": {"MARK": mark}, "timeout": 600}


@pytest.fixture
def mark():
    """A word that only this test's processes have."""
    return f"mark{os.getpid()}x{os.urandom(6).hex()}"


@pytest.fixture
def hanging(mark):
    """Begins a request that hangs, in a thread of its own; gives what became of it."""
    threads, servers = [], []

    def begin(server, path="/execute", token=None):
        ends = []

        def ask():
            try:
                ends.append(server.ask("POST", path, sleeper(mark), token=token))
            except OSError as error:
                ends.append(error)

        threads.append(threading.Thread(target=ask, daemon=True))
        threads[-1].start()
        servers.append(server)
        until(lambda: len(processes_with(mark)) >= 2, "the code did not start")
        return ends

    yield begin
    for each in servers:
        each.end()
    for each in threads:
        each.join(PATIENCE)
        assert not each.is_alive()


@pytest.mark.parametrize("plain", [False, True], ids=["best", "plain"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_what_runs(serve, hanging, mark, number, plain):
    """At once, with exit code 0 and no complaint; the client that waits hears 503, and no process is left."""
    server = serve(plain=plain)
    assert server.url.startswith("http://127.0.0.1:")
    ends = hanging(server)
    code, out, err, took = server.end(number)
    assert (code, out, err) == (0, "", "")
    assert took < PROMPT
    until(lambda: ends)
    assert (ends[0][0], ends[0][2]["code"]) == (503, "SHUTTING_DOWN")
    until(lambda: not processes_with(mark), "a process of the code is left")


@pytest.mark.parametrize("plain", [False, True], ids=["best", "plain"])
def test_killed_outright_it_leaves_no_process(serve, hanging, mark, plain):
    """SIGKILL gives it no time for anything, and still nothing of the code goes on, whatever runs it."""
    server = serve(plain=plain)
    hanging(server)
    assert server.end(signal.SIGKILL)[0] == -signal.SIGKILL
    until(lambda: not processes_with(mark), "a process of the code is left")


def test_a_client_that_hangs_up_ends_its_run(serve, mark):
    """What nobody waits for any more does not go on."""
    import json

    server = serve()
    body = json.dumps(sleeper(mark)).encode()
    head = f"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head + body)
        until(lambda: len(processes_with(mark)) >= 2, "the code did not start")
    until(lambda: not processes_with(mark), "the code runs on")
    assert server.ask("GET", "/health")[0] == 200


def test_the_end_of_a_sandbox_ends_its_run(serve, hanging, mark):
    """Its client hears that it is gone."""
    server = serve()
    made = server.ask("POST", "/v1/sandboxes", {"template_name": "base", "timeout_seconds": 600})[2]
    ends = hanging(server, f"/s/{made['id']}/execute", made["auth_token"])
    assert server.ask("DELETE", f"/v1/sandboxes/{made['id']}")[0] == 204
    until(lambda: ends)
    assert (ends[0][0], ends[0][2]["code"]) == (404, "NOT_FOUND")
    until(lambda: not processes_with(mark), "a process of the code is left")


def test_a_time_out_ends_the_run_and_tells_what_was_printed(serve, mark):
    """With everything that it started."""
    server = serve()
    for timeout in (1, 6, 20):  # long enough to have come to print something
        wanted = {**sleeper(mark), "timeout": timeout}
        wanted["code"] = "print('so far', flush=True); " + wanted["code"]
        status, _, content = server.ask("POST", "/execute", wanted)
        assert (status, content["code"]) == (504, "EXECUTION_TIMEOUT")
        if content["details"]["stdout"]:
            break
    assert content["details"]["stdout"] == "so far\n"
    until(lambda: not processes_with(mark), "a process of the code is left")


def test_silent_and_slow_clients_hold_up_nothing(serve):
    """Neither answers for others, nor the end."""
    server = serve()
    address = ("127.0.0.1", server.port)
    clients = [socket.create_connection(address) for _ in range(30)]
    try:
        wanted = b'{"code": "print(chr(1) * 1000000)"}'  # six bytes of JSON each: more than the system buffers
        head = b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(wanted)
        for each in clients[:5]:
            each.sendall(head + wanted)
        for each in clients[10:20]:
            each.sendall(b"POST /execute HT")
        for each in clients[20:]:
            each.sendall(b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert server.ask("POST", "/execute", {"code": "print(1)"})[0] == 200
        code, out, err, took = server.end()
        assert (code, out, err) == (0, "", "")
        assert took < PROMPT
    finally:
        for each in clients:
            each.close()


def test_a_body_without_end_is_refused_while_it_comes(serve):
    """Nobody has to send all of it, and the connection ends."""
    server = serve()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(b"POST /execute HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(64):
                client.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        except OSError:  # it was hung up on while it spoke
            pass
        try:
            answer = client.recv(100)
        except ConnectionResetError:
            answer = b"HTTP/1.1 413"
    assert answer.startswith(b"HTTP/1.1 413")
    assert server.ask("GET", "/health")[0] == 200


def test_what_is_no_http_is_hung_up_on(serve):
    """And the next client is served."""
    server = serve()
    for noise in (
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"POST /execute HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"\0" * 70_000,
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
            try:
                client.sendall(noise)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except OSError as error:  # it was hung up on while it spoke
                assert not isinstance(error, TimeoutError)
    assert server.ask("GET", "/health")[0] == 200


def test_a_hundred_identical_requests_run_the_code_once(serve):
    """Over real connections; the cache tells it."""
    server = serve("--max-concurrent", "1")
    code = "import time, uuid; time.sleep(0.5); print(uuid.uuid4())"
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: server.ask("POST", "/execute", {"code": code}), range(100)))
    assert {status for status, *_ in answers} == {200}
    assert len({content["stdout"] for *_, content in answers}) == 1
    assert sum(not content["cached"] for *_, content in answers) == 1
    stats = server.ask("GET", "/cache/stats")[2]["cache"]
    assert (stats["size"], stats["misses"], stats["total_hits"]) == (1, 1, 99)


def test_thirty_two_clients_at_once(serve):
    """Each gets the output of its own program."""
    server = serve()

    def client(number):
        return [
            server.ask("POST", "/execute", {"code": f"print({number}, {turn % 2})"})[2]["stdout"] for turn in range(4)
        ]

    with ThreadPoolExecutor(32) as pool:
        for number, found in enumerate(pool.map(client, range(32))):
            assert found == [f"{number} 0\n", f"{number} 1\n"] * 2


def test_beyond_its_bound_it_says_when_to_come_back(serve, hanging):
    """429 with Retry-After."""
    server = serve("--max-concurrent", "1")
    hanging(server)
    status, headers, content = server.ask("POST", "/execute", {"code": "print(1)"})
    assert (status, headers["retry-after"], content["code"]) == (429, "1", "TOO_MANY_REQUESTS")


def test_a_token_is_demanded_by_either_option(serve):
    """From the command line or the environment."""
    for server in (serve("--token", "t0ken"), serve("--token-env", "BOX", environment={"BOX": "t0ken"})):
        assert server.ask("GET", "/health")[0] == 401
        assert server.ask("GET", "/health", token="t0ken")[0] == 200


def test_other_machines_need_a_token(serve):
    """Without one it does not start; with one it listens on all addresses."""
    refused = serve("--host", "0.0.0.0")
    code, out, err, _ = refused.end()
    assert (code, refused.line, out) == (1, "", "")
    assert "--token-env" in err
    server = serve("--host", "0.0.0.0", "--token", "t0ken")
    assert server.url.startswith("http://127.0.0.1:")
    assert server.ask("GET", "/health")[0] == 401


def test_one_sandbox_only(serve):
    """`--single`: no control plane."""
    server = serve("--single")
    assert server.ask("POST", "/execute", {"code": "print(1)"})[2]["stdout"] == "1\n"
    assert server.ask("POST", "/v1/sandboxes", {"template_name": "base"})[0] == 404


def test_the_page_shows_what_the_caches_do(serve):
    """The statistics page draws the runs of the sandboxes."""
    server = serve()
    for _ in range(3):
        server.ask("POST", "/execute", {"code": "print(1)"})
    assert b"<!doctype html>" in server.ask("GET", "/ops/")[2].lower()
    functions = server.ask("GET", "/ops/stats.json")[2]["functions"]
    assert [each["cache"]["hits"] for each in functions if each["cache"]] == [2]


def test_without_bubblewrap_it_does_not_start():
    """Unless told that this is meant; the message names the package."""
    refused = Served(plain=True)
    code, out, err, _ = refused.end()
    assert (code, refused.line, out) == (1, "", "")
    assert "apt-get install bubblewrap" in err
    assert "--unsafe" in err


def test_without_bubblewrap_it_starts_when_this_is_meant(serve):
    """And says nothing more about it."""
    server = serve(plain=True)
    assert server.ask("GET", "/health")[2]["executor"] == "subprocess"
    assert server.ask("POST", "/execute", {"code": "print(1)"})[2]["stdout"] == "1\n"
    code, _, err, _ = server.end()
    assert (code, err) == (0, "")


def test_a_port_that_is_taken_is_said(serve):
    """With what to do, and exit code 1."""
    server = serve()
    arguments = [sys.executable, "-m", "pyresilience.sandbox", "serve", "--unsafe", "--port", str(server.port)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"cannot listen on 127.0.0.1 port {server.port}" in done.stderr
    assert "choose another" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["serve", "--port", "65536"], "65535"),
        (["serve", "--port", "x"], "whole number"),
        (["serve", "--max-concurrent", "0"], "from 1"),
        (["serve", "--max-concurrent", "\u0663"], "from 1"),
        (["serve", "--token", "a", "--token-env", "B"], "not allowed with"),
        ([], "required"),
        (["dance"], "invalid choice"),
    ],
)
def test_what_makes_no_sense_on_the_command_line(capsys, arguments, complaint):
    """Exit code 2, and why."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--token-env", "NO_SUCH_VARIABLE_HERE"], "is not set"),
        (["--token", "two words", "--port", "0"], "visible ASCII"),
        (["--token", "", "--port", "0"], "visible ASCII"),
        (["--host", "192.0.2.1", "--token", "t", "--port", "0"], "192.0.2.1"),
        (["--host", "no.such.host.invalid", "--token", "t", "--port", "0"], "no.such.host.invalid"),
    ],
)
def test_what_cannot_be_done(capsys, arguments, complaint):
    """Exit code 1, and why."""
    assert main(["serve", "--unsafe", *arguments]) == 1
    assert complaint in capsys.readouterr().err


def test_without_uvicorn_it_says_what_to_install(monkeypatch, app):
    """The package by its name."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ImportError, match="pip install uvicorn"):
        serve_app(app, "127.0.0.1", 0, print)
