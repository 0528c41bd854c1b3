"""Registers a published version with Vertex AI's Model Registry, once.

Vertex AI numbers versions itself. Labels say which of the bucket's versions one is: `redraw-model`,
`redraw-version`, and the digest in two halves.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from redraw.errors import InvalidRecord, ObjectConflict
from redraw.records import Release
from redraw_airflow.vertex.model import VERSION_LABEL, VertexModel, numbered_name

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST_LABELS = ("redraw-digest-1", "redraw-digest-2")

log = logging.getLogger(__name__)


def _release_labels(release: Release) -> dict[str, str]:
    """What marks a version of Vertex AI as this release.

    A label's value holds 63 characters at most, and a SHA-256 has 64 digits: it takes two.

    Raises:
        InvalidRecord: The record's digest is no SHA-256, so labels could not carry it.
    """
    if not _SHA256.fullmatch(release.digest):
        raise InvalidRecord(
            f"release {release.version} of {release.model}: expected a SHA-256 in 64 hexadecimal digits for"
            f" its digest, got {release.digest!r}. Publish the version again."
        )
    halves = zip(_DIGEST_LABELS, (release.digest[:32], release.digest[32:]), strict=True)
    return {"redraw-model": release.model, VERSION_LABEL: str(release.version), **dict(halves)}


def register_release(target: VertexModel, release: Release, container_image: str) -> tuple[str, bool]:
    """Register a release as a version of the model, unless it is one.

    Args:
        target: The model; it is made with its first version.
        release: What to register; its folder is what the container loads.
        container_image: The image that serves it: one of Vertex AI's own for TensorFlow, or another.

    Returns:
        Vertex AI's resource name of the version, with its number, and whether it was registered now.

    Raises:
        ObjectConflict: The version is registered with another digest.
        google.api_core.exceptions.GoogleAPICallError: Vertex AI refused, or does not answer.
    """
    versions = target.versions()
    if found := _registered(target, versions, release):
        image = found.container_spec.image_uri
        if image != container_image:
            log.warning(
                "%s is served by %s, not %s: a registered version keeps its container image",
                *(numbered_name(found), image, container_image),
            )
        return numbered_name(found), False
    response = _upload(target, _description(release, container_image), first=not versions)
    return f"{response.model.partition('@')[0]}@{response.model_version_id}", True


def _registered(target: VertexModel, versions: Sequence[Any], release: Release) -> Any:
    """The version that is this release; None if none is."""
    labels = _release_labels(release)
    for version in versions:
        if version.labels.get(VERSION_LABEL) != labels[VERSION_LABEL]:
            continue
        digest = "".join(version.labels.get(name, "") for name in _DIGEST_LABELS)
        if digest != release.digest:
            raise ObjectConflict(
                f"{numbered_name(version)}, version {release.version}: expected the digest {release.digest}"
                f" in its labels, got {digest or 'none'}. Another bucket's {release.model} is registered"
                f" under {target.model_id!r}: give this one another vertex_model, or delete that version."
            )
        return version
    return None


def _description(release: Release, container_image: str) -> dict[str, Any]:
    return {
        "display_name": release.model,
        "artifact_uri": release.uri,
        "container_spec": {"image_uri": container_image},
        "labels": _release_labels(release),
        "version_description": f"Redraw {release.version}, {release.weights} weights of step"
        f" {release.checkpoint.step}, trained at {release.checkpoint.trained_at}",
    }


def _upload(target: VertexModel, model: dict[str, Any], *, first: bool) -> Any:
    if first:
        # The hook's own upload_model cannot name a new model, and without a name the next run
        # would not find it.
        client = target.hook.get_model_service_client(target.region)
        parent = client.common_location_path(target.project_id, target.region)
        request = {"parent": parent, "model_id": target.model_id, "model": model}
        operation = client.upload_model(request=request)
    else:
        operation = target.hook.upload_model(**target.place, model=model, parent_model=target.model_id)
    return operation.result(timeout=target.timeout)
