"""An app whose code runs nothing, and a client for it on both event loops."""

from __future__ import annotations

import functools

import anyio
import pytest
from asgi_clients import PretendExecutor, ask
from server_processes import Served

from pyresilience.sandbox.server import sandbox_app


@pytest.fixture
def pretend():
    """An executor that runs nothing."""
    return PretendExecutor()


@pytest.fixture
def app(pretend):
    """An app without a token."""
    return sandbox_app(pretend)


@pytest.fixture(params=["asyncio", "trio"])
def loop(request):
    """Runs an async function to its end."""
    return functools.partial(anyio.run, backend=request.param)


@pytest.fixture
def client(loop):
    """Sends one request in an event loop of its own."""

    def send(app, method, path, content=None, **how):
        return loop(functools.partial(ask, app, method, path, content, **how))

    return send


@pytest.fixture
def serve():
    """Starts servers in processes of their own, and ends them."""
    started = []

    def start(*arguments, **how):
        started.append(Served("--unsafe", *arguments, **how))
        return started[-1]

    yield start
    for each in started:
        each.end()
