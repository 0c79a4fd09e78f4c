"""Requests that make no sense, or mean harm: each gets an error that says which field, and what to do."""

from __future__ import annotations

import errno
import json

import pytest

from pyresilience.sandbox import SandboxError
from pyresilience.sandbox.server import sandbox_app

BROKEN = [
    b"", b"{", b"{'code': 1}", b'{"code": "a"', b"\xff\xfe", b'{"code": "\xe9"}', b'{"timeout": NaN}', b"[" * 100_000,
    b'{"timeout": Infinity}', b'{"timeout": ' + b"9" * 10_000 + b"}", b"code=print(1)", b'{"code": "say a"} {}', b"\x00",
]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN, ids=lambda body: repr(body[:20]))
@pytest.mark.parametrize("path", ["/execute", "/v1/sandboxes"])
def test_what_is_no_json_is_said_to_be_none(app, client, path, body):
    """Empty, cut, in another encoding, nested without end, with numbers that are none."""
    answer = client(app, "POST", path, body=body)
    assert (answer.status, answer.error) == (400, "INVALID_JSON")
    assert "JSON" in answer.json["error"] or "UTF-8" in answer.json["error"]


@pytest.mark.parametrize("body", [b"[]", b"null", b'"code"', b"1", b"true"])
def test_json_that_is_no_object_is_refused(app, client, body):
    """The message says what came instead."""
    answer = client(app, "POST", "/execute", body=body)
    assert (answer.status, answer.error) == (400, "INVALID_REQUEST")
    assert "must be a JSON object, got" in answer.json["error"]


WRONG = [
    ("code", None), ("code", 1), ("code", ["say a"]), ("code", True), ("code", "\ud800"),
    ("language", 1), ("language", {}), ("language", "cobol"), ("language", ""), ("language", "../bin/sh"),
    ("timeout", "5"), ("timeout", True), ("timeout", 0), ("timeout", -1), ("timeout", [5]), ("timeout", 1e300),
    ("timeout", 10**400), ("timeout", 86401),
    ("env", []), ("env", "A=1"), ("env", {"A": 1}), ("env", {"A": None}), ("env", {"": "1"}), ("env", {"A=B": "1"}),
    ("env", {"A": "\0"}), ("env", {"A\0": "1"}), ("env", {"A": "\udfff"}), ("env", {"A": "x" * 600_000}),
    ("use_cache", 1), ("use_cache", "no"),
    ("workdir", 1), ("workdir", ["/workspace"]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda value: repr(value)[:30])
def test_a_field_of_the_wrong_kind_is_named(app, client, pretend, field, value):
    """The message and the details name the field, and nothing is run."""
    answer = client(app, "POST", "/execute", {"code": "say a", field: value})
    assert (answer.status, answer.error) == (400, "INVALID_REQUEST")
    assert answer.json["details"]["field"] == field
    assert field in answer.json["error"] or "cobol" in answer.json["error"] or "interpreter" in answer.json["error"]
    assert len(answer.body) < 2000
    assert not pretend.started


def test_code_is_demanded(app, client):
    """The one field that must be there."""
    answer = client(app, "POST", "/execute", {})
    assert (answer.error, answer.json["error"]) == ("INVALID_REQUEST", "code is missing: it must be text")


def test_an_unknown_language_lists_those_present(app, client):
    """The message and the details say what there is."""
    answer = client(app, "POST", "/execute", {"code": "x", "language": "cobol"})
    assert "bash, python" in answer.json["error"]
    assert answer.json["details"]["languages"] == ["bash", "python"]


TRICKS = [
    "/", "/etc", "/workspace/..", "/workspace/../etc", "..", "../..", "/workspace\0", "\0", "/workspace//../../etc", "~",
    "/workspace/sub", "sub", "C:\\", "\\\\host\\share", "/proc/self/cwd", "//etc", "/WORKSPACE", "/workspace2", "./..",
    "file:///etc", "/workspace/\u2025/", "%2e%2e", "/tmp", "-", " /workspace", "/workspace\n", "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: repr(trick[:20]))
def test_no_other_directory_can_be_named(app, client, pretend, trick):
    """Whatever is not the private directory is refused, with what is allowed."""
    answer = client(app, "POST", "/execute", {"code": "say a", "workdir": trick})
    assert (answer.status, answer.error) == (400, "INVALID_REQUEST")
    assert "'/workspace'" in answer.json["error"]
    assert len(answer.body) < 2000
    assert not pretend.started


@pytest.mark.parametrize("workdir", ["/workspace", "/workspace/", ".", "./", "", None])
def test_the_private_directory_has_these_names(app, client, pretend, workdir):
    """The vendor's name for it, the relative one, and nothing."""
    assert client(app, "POST", "/execute", {"code": "say a", "workdir": workdir}).status == 200
    assert pretend.started[0].job.working_dir is None


@pytest.mark.parametrize(
    "body", [{}, {"env_vars": None}, {"env_vars": []}, {"env_vars": {"A": 1}}, {"env_vars": {"A=": ""}}]
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_environment_that_is_none_changes_nothing(app, client, method, body):
    """`env_vars` is named, and the environment stays."""
    client(app, "PUT", "/env", {"env_vars": {"A": "1"}})
    answer = client(app, method, "/env", body)
    assert (answer.status, answer.error, answer.json["details"]) == (400, "INVALID_REQUEST", {"field": "env_vars"})
    assert client(app, "GET", "/env").json == {"env_vars": {"A": "1"}}


def test_an_environment_cannot_be_grown_without_end(app, client):
    """Merging again and again meets the same bound as one large request."""
    statuses = [client(app, "PATCH", "/env", {"env_vars": {f"A{number}": "x" * 100_000}}).status for number in range(7)]
    assert statuses == [204] * 5 + [400] * 2


def test_a_secret_value_is_not_repeated(app, client):
    """An error about the environment names no value."""
    answer = client(app, "POST", "/execute", {"code": "say a", "env": {"A": "hunter2\0"}})
    assert b"hunter2" not in answer.body


def test_a_body_over_the_limit_is_refused(pretend, client):
    """By its declared length before anything is read, and without one while it is read."""
    app = sandbox_app(pretend, max_body=1000)
    assert client(app, "POST", "/execute", {"code": "say a"}).status == 200
    declared = client(app, "POST", "/execute", headers={"Content-Length": "1001"}, pieces=[b""])
    unending = client(app, "POST", "/execute", pieces=[b"x" * 600] * 1000)
    for answer in (declared, unending):
        assert (answer.status, answer.error) == (413, "BODY_TOO_LARGE")
        assert answer.json["details"] == {"limit_bytes": 1000}
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["-1", "1e3", "ten", "9" * 5000, "\u00b2"])
def test_a_length_that_is_none_is_refused(app, client, length):
    """Neither signs nor words nor numbers without end."""
    answer = client(app, "POST", "/execute", headers={"Content-Length": length}, pieces=[b"{}"])
    assert answer.status in (400, 413)
    assert len(answer.body) < 1000


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/Execute", "/execute/", "/execute/x", "/env/..", "//execute", "/s", "/s/", "/s/x", "/v1", "/v2"],
)
def test_an_unknown_path_is_404(app, client, path):
    """Also where it looks like one that is there."""
    answer = client(app, "GET", path)
    assert (answer.status, answer.error) == (404, "NOT_FOUND")
    assert answer.json["path"] == path


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/execute", "POST"), ("DELETE", "/env", "GET, PUT, PATCH, HEAD"), ("POST", "/health", "GET, HEAD"),
        ("GET", "/cache/clear", "POST"), ("PUT", "/v1/sandboxes", "POST, GET, HEAD"), ("BREW", "/env", "GET, PUT, PATCH, HEAD"),
        ("POST", "/v1/sandboxes/x", "GET, DELETE, HEAD"), ("GET", "/v1/sandboxes/x/token/refresh", "POST"),
        ("OPTIONS", "/execute", "POST"), ("get", "/env", "GET, PUT, PATCH, HEAD"),
    ],
)  # fmt: skip
def test_an_unknown_method_is_405_with_allow(app, client, method, path, allowed):
    """The header says what the path takes."""
    answer = client(app, method, path)
    assert (answer.status, answer.error, answer.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", allowed)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (lambda: OSError(errno.E2BIG, "Argument list too long"), 400, "INVALID_REQUEST"),
        (lambda: OSError(errno.EAGAIN, "Resource temporarily unavailable"), 503, "EXECUTOR_UNAVAILABLE"),
        (lambda: SandboxError("odd"), 500, "INTERNAL_ERROR"),
        (lambda: RuntimeError("/secret/path"), 500, "INTERNAL_ERROR"),
    ],
)
def test_what_cannot_be_started_is_said(app, client, pretend, caplog, error, status, code):
    """The log has the whole story, the client none of it; the next request is served."""
    pretend.error = error()
    answer = client(app, "POST", "/execute", {"code": "say a"})
    assert (answer.status, answer.error) == (status, code)
    assert "/secret" not in answer.json["error"]
    assert bool(caplog.records) == (status >= 500)
    pretend.error = None
    assert client(app, "POST", "/execute", {"code": "say a"}).status == 200


def test_outputs_of_any_kind_are_json(app, client, pretend):
    """Control characters, and characters beyond the basic plane, come back as they were."""
    said = "\x00\x1b[31m\u2028\U0001f600\ufffd\r\n"
    assert client(app, "POST", "/execute", {"code": f"say {said}"}).json["stdout"] == said


def test_what_is_not_http_is_turned_away(app, loop):
    """A WebSocket is closed, another kind of connection is an error of the server's."""
    sent = []

    async def visit(kind):
        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message["type"])

        await app({"type": kind, "headers": [], "path": "/"}, receive, send)

    loop(visit, "websocket")
    assert sent == ["websocket.close"]
    with pytest.raises(ValueError, match="http, lifespan or websocket"):
        loop(visit, "smtp")


def test_the_documented_errors_are_json_lines():
    """An error body ends with a line break, as every answer does, so that a terminal shows it well."""
    from pyresilience.http.messages import Refused
    from pyresilience.sandbox.server.refusals import error_answer
    from pyresilience.sandbox.server.requests import Request

    request = Request("1", "GET", "/x", "", {}, "http", "", None, lambda: None)
    body = error_answer(Refused(404, "NOT_FOUND", "no"), request).body
    assert body.endswith(b"}\n")
    assert json.loads(body)["path"] == "/x"
