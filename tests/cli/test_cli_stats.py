"""`stats`: the figures as JSON, and how commands end that cannot do their work."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def test_the_figures_are_printed_for_programs(cli, url):
    """Into a pipe go the figures on one line of JSON."""
    code, out, err = cli("stats", url)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert [each["function"].rpartition(".")[2] for each in json.loads(out)["functions"]] == ["price", "stock"]


def test_the_figures_are_printed_for_people(cli, url, monkeypatch):
    """On a terminal they are indented, and what they say stays the same."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, _ = cli("stats", url)
    assert code == 0
    assert out.startswith('{\n  "timestamp"')
    assert json.loads(out)["windows"] == [60, 3600, 86400]


@pytest.mark.parametrize("window", ["60", "60s", "1m", "3600", "1h", "60m", "1d", "24h"])
def test_a_window_can_be_asked_for(cli, url, window):
    """A number of seconds will do, and text as well."""
    code, out, _ = cli("stats", url, "--window", window)
    assert code == 0
    assert json.loads(out)["window"] in (60, 3600, 86400)


def test_a_window_that_the_server_has_not_is_told(cli, url):
    """The server's own words come through, and the exit code says that it failed."""
    code, out, err = cli("stats", url, "--window", "61")
    assert (code, out) == (1, "")
    assert err.startswith(f"pyresilience stats: {url}/stats.json?window=61 answered 400 Bad Request: window must be")


def test_hostile_names_are_escaped(cli, serve):
    """What is printed is ASCII: no name sends commands to the terminal."""
    from pyresilience.http.wsgi import resilience_app
    from pyresilience.metrics.state import State

    code, out, _ = cli("stats", serve(resilience_app(states=lambda: [State("\x1b[2J\x9b1m\u202e")])))
    assert code == 0
    assert out.isascii()
    assert out.rstrip("\n").isprintable()
    assert json.loads(out)["functions"][0]["function"] == "\x1b[2J\x9b1m\u202e"


@pytest.mark.parametrize("command", ["stats", "top"])
def test_a_server_that_is_not_there_is_an_error(cli, url, serve, answering, command):
    """Exit code 1 and one line on stderr, for no server and for one that is none of ours."""
    for address in ("127.0.0.1:1", serve(answering(b"hello")), "file:///etc/passwd"):
        code, out, err = cli(command, address)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"pyresilience {command}: ")


@pytest.mark.parametrize("command", ["stats", "top"])
def test_the_token_comes_from_the_environment(cli, serve, shop, monkeypatch, command):
    """`--token-env` names the variable; one that is not set, or empty, is told."""
    from pyresilience.http.wsgi import resilience_app

    url = serve(resilience_app(shop, token="t0ken", protect="all"))
    once = ["--once"] if command == "top" else []
    monkeypatch.setenv("SHOP_TOKEN", "t0ken\n")
    monkeypatch.setenv("EMPTY_TOKEN", " ")
    assert cli(command, url, *once, "--token-env", "SHOP_TOKEN")[0] == 0
    assert cli(command, url, *once)[0] == 1
    assert "EMPTY_TOKEN is empty" in cli(command, url, *once, "--token-env", "EMPTY_TOKEN")[2]
    assert "NO_TOKEN is not set" in cli(command, url, *once, "--token-env", "NO_TOKEN")[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["tops"], "invalid choice"),
        (["stats"], "URL"),
        (["stats", "localhost", "--window", "soon"], "must be 60, 3600 or 86400"),
        (["stats", "localhost", "--window", "0"], "must be 60, 3600 or 86400"),
        (["stats", "localhost", "--window", "1.5"], "must be 60, 3600 or 86400"),
        (["stats", "localhost", "--window", ""], "must be 60, 3600 or 86400"),
        (["stats", "localhost", "--timeout", "0"], "above 0"),
        (["stats", "localhost", "--timeout", "nan"], "above 0"),
        (["top", "localhost", "--interval", "-1"], "above 0"),
        (["top", "localhost", "--sort", "beauty"], "invalid choice"),
        (["serve", "--port", "65536"], "from 0 (the system picks) to 65535"),
        (["serve", "--port", "http"], "from 0 (the system picks) to 65535"),
    ],
)
def test_what_is_not_understood_is_told(cli, arguments, words):
    """Exit code 2, and what would be understood."""
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize("arguments", [["-h"], ["serve", "-h"], ["top", "-h"], ["stats", "-h"]])
def test_help_is_there(cli, arguments):
    """Each command explains itself, with an example."""
    code, out, _ = cli(*arguments)
    assert code == 0
    assert "usage: python -m pyresilience" in out
    assert "python -m pyresilience" in out.partition("\n\n")[2]


def test_the_version_is_that_of_the_package(cli):
    """`--version` tells what is installed."""
    from importlib.metadata import version

    assert cli("--version")[:2] == (0, f"pyresilience {version('pyresilience')}\n")


def test_a_reader_that_has_seen_enough_is_no_error(url):
    """`stats URL | head -c 1` ends without a stack trace."""
    with subprocess.Popen(
        [sys.executable, "-m", "pyresilience", "top", url, "--interval", "0.001"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 1


def test_a_command_loads_what_it_needs_and_no_more():
    """`stats` and `top` start without event loops, servers, or rich where it is not drawn."""
    code = (
        "import sys\n"
        "from pyresilience.cli.commands import main\n"
        "assert main(['top', '127.0.0.1:1', '--once']) == 1\n"
        "assert not {'asyncio', 'anyio', 'rich', 'pyresilience.http.server'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, capture_output=True)
