"""The control plane: makes, shows and ends sandboxes."""

from __future__ import annotations

from typing import Any

from ...http.messages import Answer, json_answer, timestamp
from ..settings import TEMPLATES
from .agent import NO_CONTENT
from .fields import flag, json_object, number, text, variables
from .refusals import invalid, not_found, unauthorized
from .registry import Hosted, Registry
from .requests import Handler, Methods, Request
from .tokens import Issued, Secret

ROOT = "/v1"
"""Under which it answers."""
MAX_LIFE = 366 * 24 * 3600.0
"""The longest time, in seconds, after which a sandbox may be told to end by itself."""


class ControlPlane:
    """Answers under `/v1`.

    Args:
        registry: The sandboxes.
        secret: What clients must bring as `X-API-Key`, or as a bearer token.
    """

    def __init__(self, registry: Registry, secret: Secret) -> None:
        self._registry = registry
        self._secret = secret
        self._fixed: dict[str, Methods] = {
            "/v1/sandboxes": {"POST": self._create, "GET": self._list},
            "/v1/templates": {"GET": self._templates},
        }

    def methods(self, request: Request) -> Methods:
        """What answers at the request's path.

        Raises:
            Refused: 401, the key is missing or wrong, or 404, nothing answers there.
        """
        if not self._secret.knows(request.headers.get("x-api-key", ""), request.bearer):
            raise unauthorized("the control plane needs the token that the server was started with, as X-API-Key")
        if request.path in self._fixed:
            return self._fixed[request.path]
        match request.path.split("/")[2:]:
            case ["templates", str(name)] if name:
                return {"GET": lambda request: self._template(name)}
            case ["sandboxes", str(name), *rest] if name and tuple(rest) in (routes := self._of_sandbox(name)):
                return routes[tuple(rest)]
        raise not_found("there is nothing at this path: the control plane has /v1/sandboxes and /v1/templates")

    def _of_sandbox(self, name: str) -> dict[tuple[str, ...], Methods]:
        return {
            (): {"GET": self._with(name, self._show), "DELETE": self._with(name, self._delete)},
            ("token", "refresh"): {"POST": self._with(name, self._refresh)},
            ("timeout",): {"PUT": self._with(name, self._set_timeout)},
        }

    def _with(self, name: str, handle: Any) -> Handler:
        async def handler(request: Request) -> Answer:
            answer: Answer = await handle(request, await self._registry.find(name))
            return answer

        return handler

    async def _create(self, request: Request) -> Answer:
        fields = json_object(request.body)
        name = "template_name" if fields.get("template_name") is not None else "template_id"
        if fields.get(name) is None:
            raise invalid("template_name is missing: it must be text", "template_name")
        template = _known(text(fields, name))
        flag(fields, "internet_access", default=False)
        env = variables(fields, "env_vars")
        hosted = await self._registry.make(template, env, number(fields, "timeout_seconds", MAX_LIFE))
        return json_answer({**self._shown(hosted, request), **_told(hosted.tokens.issue())}, 201)

    async def _list(self, request: Request) -> Answer:
        await self._registry.end_expired()
        data = [self._shown(each, request) for each in self._registry.all()]
        return json_answer({"data": data, "has_more": False, "next_cursor": None})

    async def _show(self, request: Request, hosted: Hosted) -> Answer:
        return json_answer(self._shown(hosted, request))

    async def _delete(self, request: Request, hosted: Hosted) -> Answer:
        await self._registry.end(hosted)
        if request.headers.get("user-agent", "").startswith("hopx-"):
            # That client reads JSON from whatever is no error, and an answer 204 cannot have any.
            return json_answer({"id": hosted.sandbox.id, "status": "deleted"})
        return NO_CONTENT

    async def _refresh(self, request: Request, hosted: Hosted) -> Answer:
        return json_answer({"id": hosted.sandbox.id, **_told(hosted.tokens.issue())})

    async def _set_timeout(self, request: Request, hosted: Hosted) -> Answer:
        seconds = number(json_object(request.body), "timeout_seconds", MAX_LIFE)
        self._registry.live(hosted, seconds)
        return json_answer(self._shown(hosted, request))

    async def _templates(self, request: Request) -> Answer:
        return json_answer({"data": [_template(each) for each in TEMPLATES]})

    async def _template(self, name: str) -> Answer:
        return json_answer(_template(_known(name)))

    def _shown(self, hosted: Hosted, request: Request) -> dict[str, Any]:
        sandbox, ends = hosted.sandbox, hosted.expires_at
        return {
            "id": sandbox.id,
            "status": "running",
            "public_host": f"{request.origin}/s/{sandbox.id}",
            "template_name": sandbox.template,
            "template_id": sandbox.template,
            "organization_id": 0,
            "created_at": timestamp(hosted.created_at),
            "timeout_seconds": hosted.timeout_seconds,
            "expires_at": None if ends is None else timestamp(ends),
        }


def _known(template: str) -> str:
    if template not in TEMPLATES:
        message = f"there is no template {template[:80]!r}: use one of {', '.join(TEMPLATES)}"
        raise not_found(message, templates=list(TEMPLATES))
    return template


def _template(name: str) -> dict[str, Any]:
    return {"id": name, "name": name, "display_name": name, "is_active": True, "status": "active"}


def _told(issued: Issued) -> dict[str, Any]:
    return {"auth_token": issued.token, "token_expires_at": timestamp(issued.expires_at)}
