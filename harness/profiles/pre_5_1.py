"""The profile `pre-5.1`: a peer from before multipart (VER-01 to VER-04)."""

from typing import Any

from attrs import define

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.profiles import harper_front as front
from deploy_relay_kit.harness.profiles.harper_5_1 import Harper51
from deploy_relay_kit.harness.profiles.harper_deploy import check_fields
from deploy_relay_kit.harness.profiles.profile import Credential, Decision
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.wire import FilePart


@define(eq=False)
class Pre51(Harper51):
    """HarperDB 4.7.29 as recorded; it stands for every Harper below 5.1.

    It refuses multipart as an unknown media type, before it checks whether a token has expired, and
    drains the upload. It accepts a deploy as JSON and has no deployment ids. It answers a client
    that asks for events with one nameless event and the status of a plain answer. Not reproduced:
    bodies in CBOR, the Server header of a node without a license, differences between releases.
    """

    version: str = "4.7.29"
    product: str = "HarperDB"
    takes_cbor: bool = True

    def at_head(self, request: RequestWitness, credential: Credential) -> Decision | None:
        if front.content_type(request)[0].startswith("multipart/"):
            text = f"Unsupported Media Type: {request.header('content-type')}"
            refusal = front.refuse_head(request) or front.refuse_early(request, credential)
            return refusal or self._refuse(415, text, request)
        if front.content_type(request)[0] == front.CBOR:
            return front.refuse_head(request) or front.refuse_early(request, credential)
        return super().at_head(request, credential)

    def _refuse_fields(self, fields: dict[str, Any], request: RequestWitness) -> Decision | None:
        if failure := check_fields(fields):
            return self._refuse(failure.status, failure.message, request)
        return None

    def _deploy_json(self, fields: dict[str, Any], request: RequestWitness) -> Decision:
        deploy = self._deploy(fields)
        payload = fields.get("payload")
        file = payload if isinstance(payload, FilePart) else None
        if failure := deploy.failure(file):
            return self._refuse(failure.status, failure.message, request)
        result = deploy.result()
        del result["deployment_id"]
        return Decision(self.dress(Answer(json=result), request))
