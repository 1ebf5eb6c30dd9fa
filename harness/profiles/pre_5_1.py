"""The profile `pre-5.1`: a peer from before multipart (VER-01 to VER-04)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.answers import Answer
from harness.profiles import front
from harness.profiles.harper_5_1 import Harper51
from harness.profiles.profile import Decision

if TYPE_CHECKING:
    from harness.tokens import Credential
    from harness.witness import RequestWitness


@dataclass(eq=False)
class Pre51(Harper51):
    """Any Harper below 5.1, in what matters to a relay; no such version was recorded.

    It refuses multipart as a media type that it does not read, takes a deploy as JSON, knows no
    deployment ids, and answers who asks for events with one bare `data:` frame. Not reproduced:
    bodies in CBOR, and whatever else its releases differ in.
    """

    name: str = "pre-5.1"
    version: str = "5.0.21"

    def at_head(self, request: RequestWitness, credential: Credential) -> Decision | None:
        if front.content_type(request)[0].startswith("multipart/"):
            refusal = front.refuse_head(request) or front.refuse_early(request, credential)
            return refusal or self._refuse(415, "Unsupported Media Type", request)
        return super().at_head(request, credential)

    def _deploy_json(self, fields: dict[str, Any], request: RequestWitness) -> Decision:
        deploy = self._deploy(fields)
        if failure := deploy.failure(None):
            return self._refuse(failure.status, failure.message, request)
        answer = Answer(json={"message": deploy.result()["message"]})
        return Decision(self.dress(answer, request))
