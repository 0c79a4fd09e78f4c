"""Who may ask: tokens, keys, other machines, web pages."""

from __future__ import annotations

import pytest

from pyresilience.sandbox.server import sandbox_app
from pyresilience.sandbox.server.tokens import KEPT, LIFE, Secret, Tokens

PATHS = [
    ("GET", "/health"), ("POST", "/execute"), ("GET", "/cache/stats"), ("POST", "/cache/clear"), ("GET", "/env"),
    ("PUT", "/env"), ("PATCH", "/env"), ("POST", "/v1/sandboxes"), ("GET", "/v1/sandboxes/x"), ("GET", "/nowhere"),
    ("DELETE", "/v1/sandboxes/x"), ("GET", "/v1/templates"), ("GET", "/execute"), ("POST", "/v1/sandboxes/x/token/refresh"),
]  # fmt: skip


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def guarded(pretend):
    """An app with a token."""
    return sandbox_app(pretend, token="t0ken")


@pytest.mark.parametrize(
    "headers", [{}, bearer("wrong"), bearer(""), bearer("t0ken2"), {"Authorization": "Basic t0ken"}, bearer("t\xf6ken")]
)
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_without_the_token_nothing_is_told(guarded, client, method, path, headers):
    """Missing, wrong, empty, longer, of another scheme, beyond ASCII: 401, whatever the path."""
    answer = client(guarded, method, path, {}, headers=headers)
    assert (answer.status, answer.error) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_token_opens_the_root_and_the_control_plane(guarded, client):
    """As a bearer token, and on the control plane as the vendor's header as well."""
    assert client(guarded, "GET", "/health", headers=bearer("t0ken")).status == 200
    assert client(guarded, "GET", "/health", headers={"Authorization": "bearer  t0ken "}).status == 200
    for headers in (bearer("t0ken"), {"X-API-Key": "t0ken"}):
        assert client(guarded, "POST", "/v1/sandboxes", {"template_name": "base"}, headers=headers).status == 201
    assert client(guarded, "GET", "/env", headers={"X-API-Key": "t0ken"}).status == 401


def test_the_page_needs_the_token_too(guarded, client):
    """Everything at `/ops` but its health check; browsers send it as a password."""
    assert client(guarded, "GET", "/ops/stats.json").status == 401
    assert client(guarded, "GET", "/ops/stats.json", headers=bearer("t0ken")).status == 200
    assert client(guarded, "GET", "/ops/healthz").status == 200


def test_a_sandbox_is_opened_by_its_own_token_alone(guarded, client):
    """Not by the server's, not by another sandbox's."""
    key = {"X-API-Key": "t0ken"}
    one, other = (
        client(guarded, "POST", "/v1/sandboxes", {"template_name": "base"}, headers=key).json for _ in range(2)
    )
    path = f"/s/{one['id']}/health"
    assert client(guarded, "GET", path, headers=bearer(one["auth_token"])).status == 200
    for wrong in ({}, bearer("t0ken"), bearer(other["auth_token"]), {"X-API-Key": "t0ken"}):
        answer = client(guarded, "GET", path, headers=wrong)
        assert (answer.status, answer.error) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("scope", "headers"),
    [
        ({"client": ("10.0.0.7", 1)}, {}),
        ({"client": ("2001:db8::1", 1)}, {}),
        ({"client": ("::ffff:10.0.0.7", 1)}, {}),
        ({}, {"Host": "evil.example"}),
        ({}, {"Host": "evil.example:7777"}),
        ({}, {"Host": "127.0.0.1.evil.example"}),
        ({}, {"Host": "localhost@evil.example"}),
        ({}, {"Host": "["}),
        ({}, {"Host": ""}),
        ({}, {"Origin": "http://evil.example"}),
        ({}, {"Origin": "null"}),
    ],
)
@pytest.mark.parametrize("path", ["/env", "/ops/stats.json", "/v1/sandboxes"])
def test_without_a_token_strangers_are_turned_away(app, client, path, scope, headers):
    """Other machines, names that lead here from elsewhere (DNS rebinding), pages of other origins."""
    answer = client(
        app, "GET", path, headers={"host": "localhost:7777", **{k.lower(): v for k, v in headers.items()}}, **scope
    )
    assert (answer.status, answer.error) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("scope", "headers"),
    [
        ({}, {"Host": "127.0.0.1:7777"}),
        ({}, {"Host": "[::1]:7777"}),
        ({"client": ("::1", 1)}, {"Host": "localhost"}),
        ({"client": ("::ffff:127.0.0.1", 1)}, {"Host": "localhost"}),
        ({"client": None}, {"Host": "box.localhost"}),
        ({}, {"Origin": "http://localhost:3000"}),
    ],
)
def test_without_a_token_this_machine_is_served(app, client, scope, headers):
    """By each of its names, over a Unix socket, and from a page of its own."""
    answer = client(
        app, "GET", "/env", headers={"host": "localhost:7777", **{k.lower(): v for k, v in headers.items()}}, **scope
    )
    assert answer.status == 200


def test_with_a_token_the_name_does_not_matter(guarded, client):
    """Who has the token may come from anywhere, through any proxy."""
    headers = {"host": "box.example", "origin": "https://ui.example", **bearer("t0ken")}
    assert client(guarded, "GET", "/env", headers=headers, client=("10.0.0.7", 1)).status == 200


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "\xe9", "\0"])
def test_a_token_that_headers_do_not_carry_is_refused(pretend, token):
    """At the start, with a message that does not show it."""
    with pytest.raises(ValueError, match="token must be at least one visible ASCII character") as caught:
        sandbox_app(pretend, token=token)
    assert not token.strip() or token not in str(caught.value)


@pytest.mark.parametrize("number", [0, -1, True, 1.5, "4", None])
def test_the_bound_of_runs_is_checked(pretend, number):
    """A whole number of at least 1."""
    with pytest.raises(ValueError, match="max_concurrent must be a whole number of at least 1"):
        sandbox_app(pretend, max_concurrent=number)


def test_a_token_ends_after_its_life(clock):
    """Until then it is known, from then on it is not."""
    tokens = Tokens(clock.monotonic)
    issued = tokens.issue()
    assert issued.expires_at == clock.monotonic() + LIFE
    clock.advance(LIFE - 1)
    assert tokens.knows(issued.token)
    clock.advance(1)
    assert not tokens.knows(issued.token)


def test_a_refresh_leaves_the_older_ones(clock):
    """Others may use them; but there are never more than a few."""
    tokens = Tokens(clock.monotonic)
    issued = [tokens.issue().token for _ in range(KEPT + 1)]
    assert [tokens.knows(each) for each in issued] == [False] + [True] * KEPT
    assert len(set(issued)) == KEPT + 1
    assert min(map(len, issued)) >= 40


def test_the_secrets_are_not_kept_in_clear(clock):
    """Neither the server's nor the sandboxes' can be read from the objects."""
    tokens, secret = Tokens(clock.monotonic), Secret("hunter2")
    token = tokens.issue().token
    assert token not in repr(vars(tokens))
    assert "hunter2" not in repr(vars(secret))
    assert secret.knows("", "hunter2")
    assert not secret.knows("", "hunter")
