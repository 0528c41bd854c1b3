"""A model in Vertex AI's Model Registry: registers each published version once, and moves the aliases.

Vertex AI numbers versions itself. Labels identify the bucket's version: `redraw-model`, `redraw-version`, and
the digest in two halves. The aliases follow the bucket's live pointer.

Airflow imports this module when it parses a DAG file, so Google's libraries are imported only in functions.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redraw.errors import InvalidRecord, ObjectConflict
from redraw.records import LivePointer, Release

if TYPE_CHECKING:
    from airflow.providers.google.cloud.hooks.vertex_ai.model_service import ModelServiceHook

_SHA256 = re.compile(r"[0-9a-f]{64}")
# The label of a version in Vertex AI with Redraw's version number.
VERSION_LABEL = "redraw-version"
_DIGEST_LABELS = ("redraw-digest-1", "redraw-digest-2")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class VertexModel:
    """A model of Vertex AI that versions are registered under.

    Attributes:
        hook: The Google provider's hook.
        project_id: The Google Cloud project.
        region: Vertex AI's region, such as `europe-west4`.
        model_id: The last part of its resource name: lower-case letters, digits, `_` and `-`.
        timeout: Seconds that a registration may take.
    """

    hook: ModelServiceHook
    project_id: str
    region: str
    model_id: str
    timeout: float

    @property
    def place(self) -> dict[str, str]:
        """Project and region, as arguments of the hook's methods."""
        return {"project_id": self.project_id, "region": self.region}

    def numbered(self, version: Any) -> dict[str, str]:
        """One of its versions, as arguments of the hook's methods."""
        return {**self.place, "model_id": f"{self.model_id}@{version.version_id}"}

    def versions(self) -> list[Any]:
        """Vertex AI's descriptions of its versions; none if there is no such model yet."""
        from google.api_core.exceptions import NotFound

        try:
            return list(self.hook.list_model_versions(**self.place, model_id=self.model_id))
        except NotFound:
            return []


def numbered_name(version: Any) -> str:
    """A version's resource name with its number, such as `projects/…/models/mnist@3`."""
    return f"{version.name.partition('@')[0]}@{version.version_id}"


def _release_labels(release: Release) -> dict[str, str]:
    """The labels that mark a version in Vertex AI as this release.

    A label's value has at most 63 characters, and a SHA-256 has 64 digits, so it needs two labels.

    Raises:
        InvalidRecord: The record's digest is not a SHA-256, which the labels need.
    """
    if not _SHA256.fullmatch(release.digest):
        raise InvalidRecord(
            f"release {release.version} of {release.model}: expected a SHA-256 in 64 hexadecimal digits for"
            f" its digest, got {release.digest!r}. Publish the version again."
        )
    halves = zip(_DIGEST_LABELS, (release.digest[:32], release.digest[32:]), strict=True)
    return {"redraw-model": release.model, VERSION_LABEL: str(release.version), **dict(halves)}


def register_release(target: VertexModel, release: Release, container_image: str) -> tuple[str, bool]:
    """Register a release as a version of the model, unless it is registered already.

    Args:
        target: The model; its first version creates it.
        release: The release; the container loads its folder.
        container_image: The image that serves it: one of Vertex AI's own for TensorFlow, or another.

    Returns:
        Vertex AI's resource name of the version, with its number, and whether it was registered now.

    Raises:
        ObjectConflict: The version is registered with another digest.
        google.api_core.exceptions.GoogleAPICallError: Vertex AI refused, or does not answer.
    """
    versions = target.versions()
    if version := _registered(target, versions, release):
        name, image = numbered_name(version), version.container_spec.image_uri
        if image != container_image:
            log.warning(
                "%s is served by %s, not %s: a registered version keeps its container image",
                name,
                image,
                container_image,
            )
        return name, False
    response = _upload(target, _description(release, container_image), first=not versions)
    return f"{response.model.partition('@')[0]}@{response.model_version_id}", True


def _registered(target: VertexModel, versions: Sequence[Any], release: Release) -> Any:
    """The version that is this release; None if there is none."""
    labels = _release_labels(release)
    for version in versions:
        if version.labels.get(VERSION_LABEL) != labels[VERSION_LABEL]:
            continue
        digest = "".join(version.labels.get(name, "") for name in _DIGEST_LABELS)
        if digest != release.digest:
            raise ObjectConflict(
                f"{numbered_name(version)}, version {release.version}: expected the digest {release.digest}"
                f" in its labels, got {digest or 'none'}. Another bucket's {release.model} is registered"
                f" under {target.model_id!r}. Choose another vertex_model, or delete that version in Vertex"
                " AI."
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
        # The hook's upload_model cannot name a new model, and the next run finds the model by its name.
        client = target.hook.get_model_service_client(target.region)
        parent = client.common_location_path(target.project_id, target.region)
        request = {"parent": parent, "model_id": target.model_id, "model": model}
        operation = client.upload_model(request=request)
    else:
        operation = target.hook.upload_model(**target.place, model=model, parent_model=target.model_id)
    return operation.result(timeout=target.timeout)


def move_aliases(target: VertexModel, pointer: LivePointer) -> dict[str, str]:
    """Move the aliases to the versions of the live pointer.

    `live` and `default` go to the live version, `canary` to the version with that label. If that version is
    not registered, the alias is removed, so that it does not stay on an outdated version. Only `default`
    stays, because Vertex AI requires it.

    Returns:
        Alias to Vertex AI's number of the version that has it now.
    """
    versions = target.versions()
    registered = {version.labels.get(VERSION_LABEL): version for version in reversed(versions)}
    targets = {"live": pointer.version, "default": pointer.version, "canary": pointer.labels.get("canary")}
    holders: dict[str, str] = {}
    for alias, version in targets.items():
        holder = next((item for item in versions if alias in item.version_aliases), None)
        chosen = registered.get(str(version))
        if chosen is None and holder is not None and alias != "default":
            target.hook.delete_version_aliases(**target.numbered(holder), version_aliases=[alias])
            log.info("alias %s taken from %s", alias, numbered_name(holder))
        elif chosen is not None and chosen is not holder:
            # Vertex AI removes the alias from the version that has it in the same step.
            target.hook.add_version_aliases(**target.numbered(chosen), version_aliases=[alias])
            log.info("alias %s moved to %s", alias, numbered_name(chosen))
        holder = chosen or (holder if alias == "default" else None)
        if holder is not None:
            holders[alias] = holder.version_id
    return holders
