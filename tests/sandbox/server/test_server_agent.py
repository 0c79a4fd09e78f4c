"""Every row of the agent's table: health, execute, cache, environment."""

from __future__ import annotations

import re

import pytest

from pyresilience.sandbox.server import sandbox_app

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_health_has_the_documented_fields(app, client):
    """`/health` tells status, agent, version and uptime, as a Go duration."""
    content = client(app, "GET", "/health").json
    assert list(content)[:4] == ["status", "agent", "version", "uptime"]
    assert (content["status"], content["agent"], content["uptime"]) == ("healthy", "pyresilience-sandbox", "0s")
    assert content["languages"] == ["bash", "python"]


def test_uptime_is_a_go_duration(pretend, client, clock):
    """Hours, minutes and seconds."""
    app = sandbox_app(pretend, clock=clock)
    client(app, "GET", "/health")
    clock.advance(2 * 3600 + 34 * 60 + 12.75)
    assert client(app, "GET", "/health").json["uptime"] == "2h34m12s"


def test_execute_has_the_documented_fields(app, client):
    """The eight documented fields come first, of the documented types."""
    answer = client(
        app, "POST", "/execute", {"language": "python", "code": "say hi", "workdir": "/workspace", "timeout": 5}
    )
    content = answer.json
    documented = ["success", "stdout", "stderr", "exit_code", "execution_time", "timestamp", "language", "cached"]
    assert answer.status == 200
    assert list(content)[:8] == documented
    assert TIMESTAMP.fullmatch(content.pop("timestamp"))
    assert content == {
        "success": True, "stdout": "hi", "stderr": "", "exit_code": 0, "execution_time": 0.25, "language": "python",
        "cached": False, "age": 0.0, "truncated": False,
    }  # fmt: skip


def test_an_identical_request_is_answered_from_the_cache(app, client, pretend):
    """The second one runs nothing, and says so; another environment is another run."""
    body = {"language": "python", "code": "say hi", "workdir": "/workspace", "timeout": 5}
    first, second = (client(app, "POST", "/execute", body).json for _ in range(2))
    assert (first["cached"], second["cached"]) == (False, True)
    assert second["execution_time"] == first["execution_time"]
    assert second["timestamp"] == first["timestamp"]
    assert not client(app, "POST", "/execute", {**body, "env": {"A": "1"}}).json["cached"]
    assert client(app, "POST", "/execute", {**body, "timeout": 6}).json["cached"]
    assert not client(app, "POST", "/execute", {**body, "use_cache": False}).json["cached"]
    assert len(pretend.started) == 3


def test_a_failing_program_is_no_error(app, client):
    """Its exit code and complaint come with status 200, and are not cached."""
    for _ in range(2):
        answer = client(app, "POST", "/execute", {"code": "fail"})
        assert answer.status == 200
        assert (answer.json["success"], answer.json["exit_code"], answer.json["stderr"]) == (False, 3, "oh")
        assert not answer.json["cached"]


def test_a_time_out_is_504_with_what_was_printed(app, client):
    """The error has the outputs so far in its details."""
    answer = client(app, "POST", "/execute", {"code": "late", "timeout": 0.5})
    assert (answer.status, answer.error) == (504, "EXECUTION_TIMEOUT")
    details = answer.json["details"]
    assert (details["stdout"], details["stderr"], details["exit_code"], details["success"]) == (
        "so far",
        "slow",
        124,
        False,
    )


def test_what_is_left_out_has_defaults(app, client, pretend):
    """Language, directory, time and environment may be missing or null; the time is then the sandbox's."""
    for body in (
        {"code": "say hi"},
        {"code": "say ho", "language": None, "workdir": None, "timeout": None, "env": None},
    ):
        assert client(app, "POST", "/execute", body).status == 200
    jobs = [each.job for each in pretend.started]
    assert [(job.language, job.timeout, job.working_dir) for job in jobs] == [("python", 120, None)] * 2


def test_cache_stats_field_by_field(app, client):
    """The documented fields first, and their values after two identical runs and another."""
    fresh = client(app, "GET", "/cache/stats").json
    assert list(fresh) == ["cache", "timestamp"]
    assert list(fresh["cache"])[:4] == ["max_size", "size", "total_hits", "ttl"]
    assert list(fresh["cache"])[4:] == ["misses", "hit_ratio", "coalesced", "bytes", "oldest_age"]
    assert TIMESTAMP.fullmatch(fresh["timestamp"])
    assert {name: fresh["cache"][name] for name in ("max_size", "size", "total_hits", "ttl")} == {
        "max_size": 1000, "size": 0, "total_hits": 0, "ttl": "5m0s",
    }  # fmt: skip
    for code in ("say a", "say a", "say b"):
        client(app, "POST", "/execute", {"code": code})
    used = client(app, "GET", "/cache/stats").json["cache"]
    assert (used["size"], used["total_hits"], used["misses"], used["hit_ratio"]) == (2, 1, 2, pytest.approx(1 / 3))
    assert used["bytes"] > 0


def test_clearing_tells_what_it_removed_and_zeroes_the_counts(app, client):
    """The number of entries stands under both names; afterwards nothing is there."""
    for code in ("say a", "say a", "say b"):
        client(app, "POST", "/execute", {"code": code})
    told = client(app, "POST", "/cache/clear").json
    assert list(told) == ["message", "timestamp", "entries_removed", "cleared_entries", "freed_bytes"]
    assert (told["entries_removed"], told["cleared_entries"]) == (2, 2)
    assert told["freed_bytes"] > 0
    after = client(app, "GET", "/cache/stats").json["cache"]
    assert (after["size"], after["total_hits"], after["misses"], after["bytes"]) == (0, 0, 0, 0)
    assert not client(app, "POST", "/execute", {"code": "say a"}).json["cached"]


def test_the_environment_is_replaced_and_merged(app, client):
    """PUT replaces, PATCH merges, both without a body in the answer; code sees it, and the call's own on top."""
    assert client(app, "GET", "/env").json == {"env_vars": {}}
    assert client(app, "PUT", "/env", {"env_vars": {"A": "1", "B": "2"}}).status == 204
    assert client(app, "PATCH", "/env", {"env_vars": {"B": "3", "C": "4"}, "merge": True}).status == 204
    assert client(app, "GET", "/env").json == {"env_vars": {"A": "1", "B": "3", "C": "4"}}
    seen = client(app, "POST", "/execute", {"code": "env", "env": {"C": "5"}}).json["stdout"]
    assert '"A": "1"' in seen
    assert '"C": "5"' in seen
    assert client(app, "PUT", "/env", {"env_vars": {"Z": "line\nline"}}).status == 204
    assert client(app, "GET", "/env").json == {"env_vars": {"Z": "line\nline"}}


def test_a_changed_environment_is_another_run(app, client, pretend):
    """Nothing is answered from the cache of another environment."""
    client(app, "POST", "/execute", {"code": "say a"})
    client(app, "PUT", "/env", {"env_vars": {"A": "1"}})
    assert not client(app, "POST", "/execute", {"code": "say a"}).json["cached"]


def test_every_answer_has_a_request_id(app, client):
    """The client's own if it is a sensible one, else a new one."""
    ids = {client(app, "GET", "/health").headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert client(app, "GET", "/health", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    answer = client(app, "GET", "/nowhere", headers={"X-Request-ID": "a b\xff"})
    assert answer.error == "NOT_FOUND"
    assert answer.json["request_id"] != "a b\xff"


def test_head_is_get_without_the_body(app, client):
    """The headers are those of a GET."""
    answer = client(app, "HEAD", "/env")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "17")


def test_the_statistics_page_is_at_ops(app, client):
    """`/ops/` is the page, `/ops/metrics` and `/ops/stats.json` what it draws."""
    assert b"<!doctype html>" in client(app, "GET", "/ops/").body.lower()
    assert client(app, "GET", "/ops/stats.json").status == 200
    assert client(app, "GET", "/ops/metrics").status == 200


def test_the_app_can_be_mounted(app, client):
    """Under a prefix it answers the same, and errors tell the whole path."""
    answer = client(app, "GET", "/box/nowhere", root_path="/box")
    assert answer.json["path"] == "/box/nowhere"
    assert client(app, "GET", "/box/health", root_path="/box").status == 200
