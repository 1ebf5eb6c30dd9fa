"""The state of one fake node: its path, credentials, tokens and faults."""

import re
import secrets
from base64 import b64encode
from dataclasses import dataclass, field

from deploy_relay_kit.harness.faults.kinds import MintForAnotherUser, OneFault, TokensExpire
from deploy_relay_kit.harness.faults.schedule import FaultSchedule
from deploy_relay_kit.harness.peer.tokens import TokenBook
from deploy_relay_kit.harness.profiles import Profile, Strict
from deploy_relay_kit.harness.profiles.profile import Credential
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.secrets import forms_of

_SHORT = 6  # characters; so short a password is a part of many words


@dataclass(eq=False)
class NodeState:
    """One fake node, without a server.

    Attributes:
        name: the node's name.
        path: path of the operations API, with its query if it has one; other paths answer 404.
        profile: how the node answers when no fault is due.
        schedule: which fault is due.
        username: the user who may deploy; by default, a name that only this node has.
        password: the password of that user; by default, a random one.
        tokens: every token that the node issued.
    """

    name: str
    path: str = "/"
    profile: Profile = field(default_factory=Strict)
    schedule: FaultSchedule = field(default_factory=lambda: FaultSchedule(None))
    username: str = ""
    password: str = field(default="", repr=False)
    tokens: TokenBook = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.username = self.username or f"deployer-of-{self.name}"
        self.password = self.password or f"password-of-{self.name}-{secrets.token_hex(8)}"
        self.tokens = TokenBook(self.name)

    @property
    def basic(self) -> str:
        """User name and password in the scheme Basic (RFC 7617)."""
        return b64encode(f"{self.username}:{self.password}".encode()).decode()

    def refusal(self) -> float | None:
        """How many seconds to refuse connections now; None to accept the next one."""
        return self.schedule.refusal()

    def turn(self) -> OneFault | None:
        """The fault of the connection that is being accepted."""
        return self.schedule.due("connection")

    def credential_of(self, request: RequestWitness) -> Credential:
        """The kind of credential in the Authorization header of a request."""
        return self.tokens.worth(request.header("authorization"), (self.username, self.password))

    def issue_tokens(self, fault: OneFault | None) -> dict[str, str]:
        """Issue `operation_token` and `refresh_token` (MINT-04), with the due fault of mints."""
        token = self.tokens.issue(
            self.username,
            expire_first=fault.first if isinstance(fault, TokensExpire) else 0,
            forbidden=isinstance(fault, MintForAnotherUser),
        )
        refresh = self.tokens.issue_refresh(self.username)
        return {"operation_token": token, "refresh_token": refresh}

    def redacted(self, text: str) -> str:
        """The text without the password and the tokens of this node."""
        for form in sorted(forms_of(self.password), key=len, reverse=True):
            if len(form) < _SHORT:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "[password]", text)
            else:
                text = text.replace(form, "[password]")
        return self.tokens.redacted(text)
