"""What the tests of sandboxes share."""

from __future__ import annotations

import warnings

import pytest
from scripted import Scripted

from pyresilience.sandbox import AsyncSandbox, Sandbox, SandboxWarning


@pytest.fixture
def executor():
    """An executor that runs nothing; whatever it holds at the end of the test is killed."""
    scripted = Scripted()
    yield scripted
    scripted.close()


@pytest.fixture
def create(colour, executor):
    """Makes a sandbox of the colour, on the scripted executor unless told otherwise."""

    async def create(*args, **settings):
        kind = Sandbox if colour.is_sync else AsyncSandbox
        return await colour.go(kind.create, *args, **{"executor": executor, **settings})

    return create


@pytest.fixture
def sandbox(executor):
    """A synchronous sandbox on the scripted executor."""
    with Sandbox.create(executor=executor) as sandbox:
        yield sandbox


@pytest.fixture
def real():
    """Makes sandboxes on the executor that is chosen here, whatever it warns of; they are killed afterwards."""
    made = []

    def real(**settings):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SandboxWarning)
            made.append(Sandbox.create(**settings))
        return made[-1]

    yield real
    for sandbox in made:
        sandbox.kill()
