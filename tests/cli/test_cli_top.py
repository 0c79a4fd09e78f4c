"""`top`: the table in the terminal, into a pipe, without and with rich."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from pyresilience.cli import screen

PATIENCE = 20.0
FIGURES = {
    "functions": [
        {"function": "shop.price[bold]", "cache": {"calls": 10, "hit_ratio": 0.5}, "circuit": {"state": "open"}},
        {"function": "shop.\x1b[31mstock", "cache": {"calls": 7}, "circuit": None},
    ],
    "history": {},
    "timestamp": "2026-11-21T08:00:00Z",
}


def test_once_prints_the_table_and_ends(cli, url):
    """Headline, titles, and the functions, the busiest first; no escape codes."""
    code, out, err = cli("top", url, "--once")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    headline, titles, first, second = out.splitlines()
    assert headline.startswith("2 functions, 4 calls, 25.0% hits, 1 OPEN CIRCUIT, since the start, 20")
    assert titles.split()[:3] == ["FUNCTION", "CALLS", "HIT%"]
    assert re.match(r"\S+\.price +3 +33\.3% ", first)
    assert second.rstrip().endswith("open")


@pytest.mark.parametrize(
    ("options", "names"), [(["--sort", "circuit"], ["stock", "price"]), (["--reverse"], ["stock", "price"])]
)
def test_the_table_is_sorted_as_asked(cli, url, options, names):
    """`--sort` names a column, `--reverse` turns it round."""
    rows = cli("top", url, "--once", *options)[1].splitlines()[2:]
    assert [row.split()[0].rpartition(".")[2] for row in rows] == names


def test_a_window_is_shown(cli, url):
    """`--window` is asked for, and told above the table."""
    assert "the last 3600 s" in cli("top", url, "--once", "--window", "1h")[1]


def test_a_server_without_functions_says_what_to_do(cli, serve):
    """An empty table is explained."""
    from pyresilience.http.wsgi import resilience_app

    assert "enable_metrics=True" in cli("top", serve(resilience_app([])), "--once")[1]


def test_a_terminal_that_knows_no_micro_sign_is_served(url):
    """On an ASCII terminal marks stand for what it cannot show."""
    done = subprocess.run(
        [sys.executable, "-m", "pyresilience", "top", url, "--once"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


def test_a_pipe_gets_one_table_after_another(program, url):
    """Without a terminal the tables follow each other, and Ctrl-C ends it quietly."""
    top = program("top", url, "--interval", "0.01")
    lines = [top.line() for _ in range(12)]
    code, _, err, _ = top.end(signal.SIGINT)
    assert (code, err) == (0, "")
    assert sum(line.startswith("2 functions") for line in lines) >= 2
    assert not [line for line in lines if "\x1b" in line]


def test_a_server_that_goes_away_ends_a_pipe(cli, monkeypatch):
    """Where nobody looks on, a lost server is an error and not waited for."""
    from pyresilience.cli import top

    answers = iter([FIGURES])

    def fetch(*_, **__):
        try:
            return next(answers)
        except StopIteration:
            raise top.Failure("it is gone") from None

    monkeypatch.setattr(top, "fetch", fetch)
    code, out, err = cli("top", "localhost:1", "--interval", "0.001")
    assert (code, err) == (1, "pyresilience top: it is gone\n")
    assert out.count("FUNCTION") == 1


def drawn(monkeypatch, capsys, kind, *shows, columns=100, rows=24):
    """What a screen of *kind* writes."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(rows))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes what we capture for a terminal
    with kind("calls", reverse=False) as its:
        for figures, notice in shows:
            its.show(figures, notice)
    return capsys.readouterr().out


def test_a_bare_terminal_is_drawn_over(monkeypatch, capsys):
    """Each table begins at the top, names obey nobody, and a notice stands above it."""
    out = drawn(monkeypatch, capsys, screen.Terminal, (FIGURES, ""), (FIGURES, "NO ANSWER"))
    assert out.count("\x1b[H") == 2
    assert "\\x1b[31mstock" in out
    assert set(re.findall(r"\x1b\[[0-9;]*(.)", out)) <= {"H", "J", "K"}
    assert out.index("NO ANSWER") < out.rindex("FUNCTION")


def test_rich_draws_the_same_table(monkeypatch, capsys):
    """With rich the figures are the same; a name is neither markup nor a command."""
    out = drawn(monkeypatch, capsys, screen.RichTerminal, (FIGURES, "NO ANSWER"))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out)
    assert "shop.price[bold]" in plain
    assert "\\x1b[31mstock" in plain
    assert "NO ANSWER" in plain
    assert "50.0%" in plain
    assert "\x1b[?1049h" in out
    assert out.endswith("\x1b[?25h\x1b[?1049l")


@pytest.mark.parametrize("kind", [screen.Terminal, screen.RichTerminal])
@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_no_line_is_wider_or_lower_than_the_terminal(monkeypatch, capsys, kind, columns):
    """However small the terminal, what is drawn fits into it."""
    many = {
        **FIGURES,
        "functions": [{**FIGURES["functions"][0], "function": f"shop.f{each}" + "x" * each} for each in range(99)],
    }
    out = drawn(monkeypatch, capsys, kind, (many, "a notice " * 30), columns=columns, rows=12)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out).split("\n")
    assert max(len(line.rstrip("\r").rstrip()) for line in lines) <= columns
    assert len(lines) <= 13
    assert any("more" in line for line in lines)


def test_without_rich_the_bare_terminal_is_used(monkeypatch):
    """Rich is used if it is there, unless `--plain` says otherwise."""
    assert isinstance(screen.screen(live=True, plain=True, sort="calls", reverse=False), screen.Terminal)
    monkeypatch.setitem(sys.modules, "rich.live", None)
    assert isinstance(screen.screen(live=True, plain=False, sort="calls", reverse=False), screen.Terminal)
    assert type(screen.screen(live=False, plain=False, sort="calls", reverse=False)) is screen.Screen


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo-terminals here")
@pytest.mark.parametrize("options", [[], ["--plain"]], ids=["rich", "plain"])
def test_on_a_terminal_it_is_live_and_waits_for_a_lost_server(url, options):
    """On a terminal the table is renewed, a server that goes away is told and waited for, and Ctrl-C ends it quietly."""
    from pyresilience.http.server import Server
    from pyresilience.http.wsgi import resilience_app
    from pyresilience.metrics.state import State

    master, slave = os.openpty()
    names = iter(range(10_000))
    with Server(resilience_app(states=lambda: [State(f"look{next(names)}")])) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "pyresilience", "top", server.url, "--interval", "0.02", *options],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "20"},
            start_new_session=True,
        )
        os.close(slave)
        seen = b""

        def read_until(word):
            nonlocal seen
            end = time.monotonic() + PATIENCE
            while word not in seen:
                assert time.monotonic() < end, seen[-2000:]
                seen += os.read(master, 65536)

        try:
            read_until(b"look1")
            read_until(b"look3")
            server.stop()
            read_until(b"NO ANSWER")
            process.send_signal(signal.SIGINT)
            end = time.monotonic() + PATIENCE
            with contextlib.suppress(OSError):  # the terminal is gone when the process is
                while time.monotonic() < end and (piece := os.read(master, 65536)):
                    seen += piece
            assert process.wait(PATIENCE) == 0
            assert b"Traceback" not in seen
        finally:
            process.kill()
            process.wait()
            os.close(master)
