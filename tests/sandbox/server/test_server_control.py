"""The control plane: sandboxes made, shown and ended over HTTP, several at once."""

from __future__ import annotations

import functools
import re

import anyio
import pytest
from asgi_clients import ask, until

from pyresilience.sandbox.server import sandbox_app
from pyresilience.sandbox.server.places import Places
from pyresilience.sandbox.server.registry import Registry
from pyresilience.sandbox.settings import TEMPLATES

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def bearer(made):
    return {"Authorization": f"Bearer {made['auth_token']}"}


@pytest.fixture
def make(app, client):
    """Makes a sandbox, and gives its answer."""

    def made(**fields):
        answer = client(app, "POST", "/v1/sandboxes", {"template_name": "code-interpreter", **fields})
        assert answer.status == 201
        return answer.json

    return made


def test_a_new_sandbox_has_the_documented_fields(app, client, make):
    """Id, token, its end, where it is reached, and that it runs; later the same without the token."""
    made = make()
    assert made["public_host"] == f"http://localhost:7777/s/{made['id']}"
    assert (made["status"], made["template_name"], made["organization_id"]) == ("running", "code-interpreter", 0)
    assert TIMESTAMP.fullmatch(made["token_expires_at"])
    assert TIMESTAMP.fullmatch(made["created_at"])
    assert (made["timeout_seconds"], made["expires_at"]) == (None, None)
    shown = client(app, "GET", f"/v1/sandboxes/{made['id']}").json
    assert shown == {name: value for name, value in made.items() if name not in ("auth_token", "token_expires_at")}


@pytest.mark.parametrize(
    ("headers", "scope", "origin"),
    [
        ({"host": "127.0.0.1:9"}, {}, "http://127.0.0.1:9"),
        ({"host": "[::1]:9"}, {"scheme": "https"}, "https://[::1]:9"),
        ({"host": "localhost"}, {"root_path": "/box"}, "http://localhost/box"),
    ],
)
def test_the_public_host_is_where_the_client_asked(app, client, headers, scope, origin):
    """By the name, scheme and prefix that it used."""
    path = f"{scope.get('root_path', '')}/v1/sandboxes"
    answer = client(app, "POST", path, {"template_name": "base"}, headers=headers, **scope)
    assert answer.json["public_host"] == f"{origin}/s/{answer.json['id']}"


def test_a_name_that_is_none_is_not_repeated(pretend, client):
    """A `Host` with other characters than names have gives way to the address that was asked."""
    app = sandbox_app(pretend, token="t")
    headers = {"host": 'x"><script>', "x-api-key": "t"}
    answer = client(app, "POST", "/v1/sandboxes", {"template_name": "base"}, headers=headers)
    assert answer.json["public_host"].startswith("http://127.0.0.1:7777/s/")


@pytest.mark.parametrize("template", TEMPLATES)
def test_each_template_is_there(app, client, make, template):
    """By name, and listed."""
    assert make(template_name=template)["template_name"] == template
    assert make(template_name=None, template_id=template)["template_name"] == template
    assert client(app, "GET", f"/v1/templates/{template}").json["name"] == template
    assert template in [each["name"] for each in client(app, "GET", "/v1/templates").json["data"]]


def test_an_unknown_template_is_404_and_lists_those_there_are(app, client):
    """In the message and in the details."""
    for answer in (
        client(app, "POST", "/v1/sandboxes", {"template_name": "desktop"}),
        client(app, "GET", "/v1/templates/desktop"),
    ):
        assert (answer.status, answer.error) == (404, "NOT_FOUND")
        assert answer.json["details"]["templates"] == list(TEMPLATES)
        assert "code-interpreter" in answer.json["error"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "template_name"), ({"template_name": 1}, "template_name"), ({"template_id": 291}, "template_id"),
        ({"template_name": "base", "timeout_seconds": 0}, "timeout_seconds"),
        ({"template_name": "base", "timeout_seconds": "60"}, "timeout_seconds"),
        ({"template_name": "base", "timeout_seconds": 1e9}, "timeout_seconds"),
        ({"template_name": "base", "env_vars": {"A": 1}}, "env_vars"),
        ({"template_name": "base", "internet_access": "yes"}, "internet_access"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_and_makes_no_sandbox(app, client, fields, named):
    """The details say which."""
    answer = client(app, "POST", "/v1/sandboxes", fields)
    assert (answer.status, answer.error, answer.json["details"]["field"]) == (400, "INVALID_REQUEST", named)
    assert client(app, "GET", "/v1/sandboxes").json["data"] == []


def test_each_sandbox_has_its_own_cache_and_environment(app, client, make):
    """What one has run or set, the others and the root know nothing of."""
    one, other = make(env_vars={"A": "1"}), make()
    at = {"one": (f"/s/{one['id']}", bearer(one)), "other": (f"/s/{other['id']}", bearer(other)), "root": ("", {})}
    for path, headers in at.values():
        first = client(app, "POST", f"{path}/execute", {"code": "say a"}, headers=headers)
        assert not first.json["cached"]
    envs = {
        name: client(app, "GET", f"{path}/env", headers=headers).json["env_vars"]
        for name, (path, headers) in at.items()
    }
    assert envs == {"one": {"A": "1"}, "other": {}, "root": {}}
    path, headers = at["one"]
    assert client(app, "POST", f"{path}/cache/clear", headers=headers).json["entries_removed"] == 1
    sizes = {
        name: client(app, "GET", f"{path}/cache/stats", headers=headers).json["cache"]["size"]
        for name, (path, headers) in at.items()
    }
    assert sizes == {"one": 0, "other": 1, "root": 1}


def test_an_ended_sandbox_is_gone(app, client, make):
    """DELETE has no body; afterwards it is unknown everywhere."""
    made = make()
    path = f"/v1/sandboxes/{made['id']}"
    assert client(app, "DELETE", path).status == 204
    for method, where in [
        ("GET", path),
        ("DELETE", path),
        ("POST", f"{path}/token/refresh"),
        ("GET", f"/s/{made['id']}/health"),
    ]:
        answer = client(app, method, where, headers=bearer(made))
        assert (answer.status, answer.error) == (404, "NOT_FOUND")


def test_a_client_that_wants_json_of_everything_gets_it(app, client, make):
    """The vendor's Python client cannot read an answer without a body."""
    answer = client(app, "DELETE", f"/v1/sandboxes/{make()['id']}", headers={"User-Agent": "hopx-python/0.1.0"})
    assert (answer.status, answer.json["status"]) == (200, "deleted")


def test_a_token_can_be_had_anew(app, client, make):
    """The new one opens the sandbox, and the old one still does."""
    made = make()
    fresh = client(app, "POST", f"/v1/sandboxes/{made['id']}/token/refresh").json
    assert fresh["auth_token"] != made["auth_token"]
    assert TIMESTAMP.fullmatch(fresh["token_expires_at"])
    for each in (made, fresh):
        assert client(app, "GET", f"/s/{made['id']}/health", headers=bearer(each)).status == 200


def test_a_sandbox_ends_when_its_time_is_over(pretend, client, clock):
    """On the server's clock, to the moment; telling it another time moves that."""
    app = sandbox_app(pretend, clock=clock)
    made = client(app, "POST", "/v1/sandboxes", {"template_name": "base", "timeout_seconds": 60}).json
    path = f"/v1/sandboxes/{made['id']}"
    assert made["timeout_seconds"] == 60
    clock.advance(59)
    assert client(app, "GET", path).status == 200
    assert client(app, "PUT", f"{path}/timeout", {"timeout_seconds": 10}).json["timeout_seconds"] == 10
    clock.advance(9.9)
    assert client(app, "GET", f"/s/{made['id']}/health", headers=bearer(made)).status == 200
    clock.advance(0.1)
    assert client(app, "GET", f"/s/{made['id']}/health", headers=bearer(made)).error == "NOT_FOUND"
    assert client(app, "GET", "/v1/sandboxes").json["data"] == []


def test_its_end_kills_what_runs_in_it_alone(app, loop, pretend):
    """The client that waits hears that the sandbox has ended; another sandbox's run goes on."""

    async def scenario():
        one = (await ask(app, "POST", "/v1/sandboxes", {"template_name": "base"})).json
        ends = []

        async def run(path, headers):
            ends.append(await ask(app, "POST", f"{path}/execute", {"code": "hang"}, headers=headers))

        async with anyio.create_task_group() as group:
            group.start_soon(run, f"/s/{one['id']}", bearer(one))
            group.start_soon(run, "", {})
            await until(lambda: len(pretend.started) == 2)
            assert (await ask(app, "DELETE", f"/v1/sandboxes/{one['id']}")).status == 204
            await until(lambda: ends)
            assert (ends[0].status, ends[0].error) == (404, "NOT_FOUND")
            assert len(pretend.ended) == 1
            await app.close()
        assert ends[1].error == "SHUTTING_DOWN"

    loop(scenario)


def test_there_are_only_so_many_sandboxes(pretend, loop, clock):
    """Beyond that 429; one that ends makes room."""
    from pyresilience.http.messages import Refused

    registry = Registry(pretend, Places(4), clock, most=2)

    async def scenario():
        first = await registry.make("base", {}, None)
        await registry.make("base", {}, 5)
        with pytest.raises(Refused, match="2 sandboxes already") as caught:
            await registry.make("base", {}, None)
        assert caught.value.status == 429
        assert ("Retry-After", "1") in caught.value.headers
        clock.advance(5)
        await registry.make("base", {}, None)
        await registry.end(first)
        await registry.make("base", {}, None)
        assert len(registry.all()) == 2
        await registry.end_all()
        assert registry.all() == []

    loop(scenario)


def test_a_server_for_one_sandbox_has_no_control_plane(pretend, client):
    """The root answers, `/v1` does not."""
    app = sandbox_app(pretend, single=True)
    assert client(app, "GET", "/health").status == 200
    assert client(app, "POST", "/v1/sandboxes", {"template_name": "base"}).error == "NOT_FOUND"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sandboxes/",
        "/v1/sandboxes//",
        "/v1/sandboxes/{id}/",
        "/v1/sandboxes/{id}/x",
        "/v1/templates/",
        "/v1/sandboxes/{id}/token",
        "/v1/x/{id}",
    ],
)
def test_paths_beside_those_there_are_lead_nowhere(app, client, make, path):
    """404, and the sandbox stays."""
    made = make()
    assert client(app, "DELETE", path.format(id=made["id"])).status == 404
    assert client(app, "GET", f"/v1/sandboxes/{made['id']}").status == 200


def test_the_lifespan_ends_everything(app, loop, pretend):
    """What runs is killed when the server stops, its client hears 503, and so does whoever comes later."""

    async def scenario():
        stop, sent, ends = anyio.Event(), [], []
        messages = ["lifespan.startup"]

        async def receive():
            if not messages:
                await stop.wait()
                return {"type": "lifespan.shutdown"}
            return {"type": messages.pop()}

        async def send(message):
            sent.append(message["type"])

        async def run():
            ends.append(await ask(app, "POST", "/execute", {"code": "hang"}))

        async with anyio.create_task_group() as group:
            group.start_soon(functools.partial(app, {"type": "lifespan"}, receive, send))
            group.start_soon(run)
            await until(lambda: pretend.started)
            assert sent == ["lifespan.startup.complete"]
            stop.set()
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert (ends[0].status, ends[0].error) == (503, "SHUTTING_DOWN")
        assert pretend.closed
        assert (await ask(app, "POST", "/execute", {"code": "say a"})).error == "SHUTTING_DOWN"

    loop(scenario)


def test_the_lifespan_ends_sandboxes_in_time(app, loop):
    """Nobody needs to ask for a sandbox for its time to end."""

    async def scenario():
        stop = anyio.Event()
        messages = ["lifespan.startup"]

        async def receive():
            if not messages:
                await stop.wait()
                return {"type": "lifespan.shutdown"}
            return {"type": messages.pop()}

        async def send(message):
            pass

        async with anyio.create_task_group() as group:
            group.start_soon(functools.partial(app, {"type": "lifespan"}, receive, send))
            await ask(app, "POST", "/v1/sandboxes", {"template_name": "base", "timeout_seconds": 0.05})
            assert len(app._registry.all()) == 1
            await until(lambda: not app._registry.all())
            stop.set()

    loop(scenario)
