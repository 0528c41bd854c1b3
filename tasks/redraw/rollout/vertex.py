"""A client for endpoints of Vertex AI: find which registered version of a model gets the requests.

Redraw labels what it registers with `redraw-version`; the endpoint names the registered version.

Source:
    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints
    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/get
    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/rawPredict
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from redraw.rollout.addresses import Server
from redraw.rollout.client import BadAnswer, Look, NotReached, Question, Target, judge_versions, short_text
from redraw.rollout.http import HttpAddress, Reply, ask_http, error_of
from redraw.rollout.rest import columns, decode_columns
from redraw.storage.credentials import storage_credentials

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LABEL = "redraw-version"
_MODEL = re.compile(r"projects/[a-z0-9:.-]{1,64}/locations/[a-z0-9-]{1,32}/models/[A-Za-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]{1,16}")
# An endpoint has a few deployed models; each costs a request.
_MOST_DEPLOYED = 20
_UNKNOWN, _FORBIDDEN, _FOUND = 404, (401, 403), 200


class VertexClient:
    """One endpoint; the token is sent only to Google's own host, with TLS.

    Args:
        server: The endpoint.
        where: Where to connect; the endpoint's host by default.
        credentials: The credentials; by default those that open the bucket.
    """

    def __init__(
        self, server: Server, where: HttpAddress | None = None, credentials: Credentials | None = None
    ) -> None:
        self._endpoint = f"/v1/{server.resource}"
        host = server.host
        self._where = where or HttpAddress(host=host, port=server.port, address=host, secure=True)
        self._credentials = credentials

    def look(self, target: Target, seconds: float) -> Look:
        """Ask which version gets the endpoint's requests; see `Client.look`."""
        reply = self._ask(self._endpoint, seconds)
        if reply.status == _UNKNOWN:
            return Look(state="unknown_model", received=f"no such endpoint: {error_of(reply)}")
        endpoint = _object(reply)
        split = endpoint.get("trafficSplit")
        receiving = (
            {str(key) for key, share in split.items() if share} if isinstance(split, Mapping) else set()
        )
        deployed = endpoint.get("deployedModels")
        states = dict[int, tuple[str, str]]()
        for entry in (deployed if isinstance(deployed, list) else [])[:_MOST_DEPLOYED]:
            if isinstance(entry, Mapping) and (version := self._version_of(entry, seconds)):
                busy = str(entry.get("id")) in receiving
                states[version] = ("AVAILABLE" if busy else states.get(version, ("LOADING", ""))[0], "")
        look = judge_versions(target.version, states)
        if look.state == "loaded" and len(look.versions) > 1:
            received = f"requests shared by the versions {', '.join(map(str, look.versions))}"
            return Look(state="other_version", received=received, versions=look.versions)
        return look

    def answer(self, target: Target, question: Question, seconds: float) -> Mapping[str, np.ndarray]:
        """Send a recorded request in the container's format; see `Client.answer`."""
        reply = self._ask(f"{self._endpoint}:rawPredict", seconds, columns(question), question.most_bytes)
        return decode_columns(question, reply)

    def _version_of(self, deployed: Mapping[str, Any], seconds: float) -> int | None:
        """The version of a deployed model; None if Redraw did not register it."""
        model, number = str(deployed.get("model")).partition("@")[0], str(deployed.get("modelVersionId"))
        if not _MODEL.fullmatch(model) or not _NUMBER.fullmatch(number):
            return None
        labels = _object(self._ask(f"/v1/{model}@{number}", seconds)).get("labels")
        label = str(labels.get(_LABEL)) if isinstance(labels, Mapping) else ""
        return int(label) if _NUMBER.fullmatch(label) else None

    def _ask(
        self, path: str, seconds: float, body: Mapping[str, Any] | None = None, most: int = 1 << 20
    ) -> Reply:
        headers = self._authorization()
        return ask_http(self._where, path, seconds=seconds, body=body, headers=headers, most=most)

    def _authorization(self) -> dict[str, str]:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        try:
            if self._credentials is None:
                self._credentials = storage_credentials() or google.auth.default(scopes=[_SCOPE])[0]
            if not self._credentials.valid:
                self._credentials.refresh(Request())
        except GoogleAuthError as err:
            raise NotReached(f"no credentials for Vertex AI: {short_text(err)}") from err
        headers: dict[str, str] = {}
        self._credentials.apply(headers)
        return headers


def _object(reply: Reply) -> Mapping[str, Any]:
    if reply.status in _FORBIDDEN:
        raise BadAnswer(f"credentials without permission for the endpoint: {error_of(reply)}")
    if reply.status != _FOUND or not isinstance(reply.value, Mapping):
        raise BadAnswer(f"HTTP status {reply.status}: {error_of(reply)}")
    return reply.value
