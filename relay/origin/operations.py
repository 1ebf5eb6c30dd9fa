"""The operations of the node, and who may use them."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from aiohttp import web

from deploy_relay_kit.relay.origin.access import Tokens, Users, lifetime_in
from deploy_relay_kit.relay.origin.answers import RefusalError, refusal_of
from deploy_relay_kit.relay.origin.deploy import roll_back
from deploy_relay_kit.relay.origin.home import Home
from deploy_relay_kit.relay.origin.restarting import Restarts
from deploy_relay_kit.relay.origin.wire.fields import operation_of

Answer = dict[str, object] | list[Any]
_ABOUT = {
    "version": "5.1.0",  # VER-02: of the protocol; with an older one, a sender sends no form
    "relay_serve": version("deploy-relay-kit"),
}
STRANGER_BYTES = 16_384  # of a message by somebody who has not logged in


class Operations:
    """Who is asking, and the operations without a payload."""

    def __init__(self, home: Home, restarts: Restarts) -> None:
        """Raise InputError for a wrong hash or key in the configuration."""
        self._home = home
        self._questions: dict[str, Callable[[Mapping[str, object]], Answer]] = {
            "registration_info": lambda _: dict(_ABOUT),
            "get_components": lambda _: {"components": home.builds.projects()},
            "get_deployment": home.row,
            "list_deployments": home.journal.list,
            "restart_service": restarts.begin,
            "get_job": restarts.job,
        }
        self._users = Users(home.config.users)
        self._tokens = Tokens(home.config.token_key_file)

    async def who(self, request: web.Request) -> str | None:
        """The user of an Authorization header; None without one."""
        given = request.headers.getall("Authorization", [])
        if not given:
            return None
        if len(given) > 1:  # a proxy may have looked at the other one
            raise RefusalError(400, "the header Authorization stands twice")
        scheme, _, value = given[0].partition(" ")
        if scheme == "Bearer":
            name, subject = self._tokens.check(value.strip(), "operation", "refresh")
            # A token to refresh others is no login: only `refresh_operation_token` takes it.
            return self._known(name) if subject == "operation" else None
        if scheme != "Basic":
            raise RefusalError(401, "Must login")
        try:
            text = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            raise RefusalError(401, "Login failed") from None
        name, _, password = text.partition(":")
        await self._users.check(name, password, request.remote or "")
        return name

    def may_deploy(self, user: str | None) -> None:
        """Refuse everyone but a super_user (DEP-01)."""
        if user is None:
            raise RefusalError(401, "Must login")
        if user not in self._users.super_users:
            raise RefusalError(403, f"user {user!r} may not use this operation")

    async def run(self, given: Mapping[str, object], user: str | None, source: str) -> Answer:
        """Run an operation that takes no payload."""
        operation = operation_of(given)
        try:
            return await self._run(operation, given, user, source)
        except Exception as error:  # noqa: BLE001  also a bug has an answer
            raise refusal_of(error, f"run {operation[:60]!r}") from None

    async def _run(
        self, operation: str, given: Mapping[str, object], user: str | None, source: str
    ) -> Answer:
        if operation == "create_authentication_tokens":
            return await self._create_tokens(given, user, source)
        if operation == "refresh_operation_token":
            token = given.get("refresh_token")
            if not isinstance(token, str):
                raise RefusalError(400, "'refresh_token' is required")
            name, _ = self._tokens.check(token, "refresh")
            return {"operation_token": self._sign(self._known(name), "operation")}
        self.may_deploy(user)
        if operation in self._questions:
            return self._questions[operation](given)
        if operation == "rollback_component":
            work = roll_back(self._home, given, user or "")
            return await asyncio.shield(self._home.keep(work))
        if operation == "deploy_component":
            raise RefusalError(400, "Either payload or package must be provided")
        raise RefusalError(400, f"Operation {operation[:60]!r} not found")  # DEP-14

    async def _create_tokens(
        self, given: Mapping[str, object], user: str | None, source: str
    ) -> dict[str, object]:
        name, password = given.get("username"), given.get("password")
        if name is not None or password is not None:  # MINT-11
            if not (isinstance(name, str) and isinstance(password, str)):
                raise RefusalError(401, "invalid credentials")
            await self._users.check(name, password, source, "invalid credentials")
            user = name
        if user is None:
            raise RefusalError(401, "Must login")
        lifetime = lifetime_in(given.get("expires_in"))
        return {
            "operation_token": self._sign(user, "operation", lifetime),
            "refresh_token": self._sign(user, "refresh"),
        }

    def _sign(self, user: str, subject: str, lifetime: int | None = None) -> str:
        is_super = user in self._users.super_users
        return self._tokens.sign(subject, lifetime, username=user, super_user=is_super)

    def _known(self, name: str) -> str:
        if name not in self._users:
            raise RefusalError(401, "invalid token")
        return name
