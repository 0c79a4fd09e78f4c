"""The sandboxes of a server: made, found and ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...clock import Clock
from ..sandbox import AsyncSandbox
from .agent import Agent
from .places import WAITING, Places, SeatedExecutor
from .refusals import not_found, too_many
from .tokens import Tokens

if TYPE_CHECKING:
    from ..executors.base import Executor

MAX_SANDBOXES = 256
"""How many sandboxes a server has at once."""


@dataclass(slots=True)
class Hosted:
    """A sandbox of a server.

    Args:
        sandbox: Itself.
        agent: What answers for it.
        tokens: What its clients must bring.
        created_at: When it was made, in seconds since 1970.
        timeout_seconds: After how many seconds it ends by itself; None: never.
        deadline: When that is, on the server's clock.
        expires_at: When that is, in seconds since 1970.
    """

    sandbox: AsyncSandbox
    agent: Agent
    tokens: Tokens
    created_at: float
    timeout_seconds: float | None = None
    deadline: float | None = None
    expires_at: float | None = None

    def live(self, seconds: float | None, clock: Clock, now: float) -> None:
        """Let it end by itself so many seconds from now; None: never."""
        self.timeout_seconds = seconds
        self.deadline = None if seconds is None else clock.monotonic() + seconds
        self.expires_at = None if seconds is None else now + seconds


class Registry:
    """Makes sandboxes that share an executor and the server's places, and nothing else.

    Args:
        executor: What runs their code.
        places: How much may run at once, in all of them.
        clock: Tells when one's time is up.
        now: Gives the time of day, in seconds since 1970.
        most: How many there may be at once.
    """

    def __init__(
        self,
        executor: Executor,
        places: Places,
        clock: Clock,
        now: Callable[[], float] = time.time,
        most: int = MAX_SANDBOXES,
    ) -> None:
        self._executor = executor
        self._places = places
        self._clock = clock
        self._now = now
        self._most = most
        self._hosted: dict[str, Hosted] = {}

    async def make(self, template: str, env: Mapping[str, str], timeout_seconds: float | None) -> Hosted:
        """A new sandbox, entered here.

        Raises:
            Refused: 429, there are as many as there may be.
        """
        await self.end_expired()
        if len(self._hosted) >= self._most:
            raise too_many(f"there are {self._most} sandboxes already: end one", limit=self._most)
        hosted = await self.unlisted(template, env)
        hosted.live(timeout_seconds, self._clock, hosted.created_at)
        self._hosted[hosted.sandbox.id] = hosted
        return hosted

    async def unlisted(self, template: str, env: Mapping[str, str] | None = None) -> Hosted:
        """A new sandbox that is not entered here."""
        sandbox = await AsyncSandbox.create(
            template,
            env=env,
            executor=SeatedExecutor(self._executor, self._places),
            max_concurrent=WAITING,  # the server's places decide: nobody waits for one
            max_wait=0,
        )
        agent = Agent(sandbox, self._places, self._executor.name, self._clock)
        return Hosted(sandbox, agent, Tokens(self._now), self._now())

    async def find(self, id: str) -> Hosted:  # noqa: A002 - what it is called everywhere
        """The sandbox of that id.

        Raises:
            Refused: 404, there is none, or its time is over.
        """
        await self.end_expired()
        try:
            return self._hosted[id]
        except KeyError:
            raise not_found("there is no such sandbox: it has ended, or never was", id=id[:80]) from None

    def live(self, hosted: Hosted, seconds: float | None) -> None:
        """Let *hosted* end by itself so many seconds from now; None: never."""
        hosted.live(seconds, self._clock, self._now())

    def all(self) -> list[Hosted]:
        """Those there are, the oldest first."""
        return list(self._hosted.values())

    async def end(self, hosted: Hosted) -> None:
        """End a sandbox, and what runs in it."""
        self._hosted.pop(hosted.sandbox.id, None)
        await hosted.sandbox.kill()

    async def end_expired(self) -> None:
        """End those whose time is over."""
        now = self._clock.monotonic()
        for each in [each for each in self._hosted.values() if each.deadline is not None and now >= each.deadline]:
            await self.end(each)

    async def end_all(self) -> None:
        """End them all."""
        for each in self.all():
            await self.end(each)
