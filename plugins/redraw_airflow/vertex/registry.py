"""A model in Vertex AI's Model Registry: registers a published version, once, and moves the aliases.

Vertex AI numbers versions itself. Labels say which of the bucket's versions one is: `redraw-model`,
`redraw-version`, and the digest in two halves. The bucket decides what the aliases are on, they follow.

Imported with the operator when a DAG file is parsed, so nothing of Google's is imported at its top.
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
# This label says which of ours a version of Vertex AI is.
VERSION_LABEL = "redraw-version"
_DIGEST_LABELS = ("redraw-digest-1", "redraw-digest-2")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class VertexModel:
    """A model of Vertex AI that versions are registered under.

    Attributes:
        hook: The Google provider's.
        project_id: The Google Cloud project.
        region: Such as `europe-west4`.
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
        """Project and region, as the hook's methods take them."""
        return {"project_id": self.project_id, "region": self.region}

    def numbered(self, version: Any) -> dict[str, str]:
        """One of its versions, as the hook's methods take it."""
        return {**self.place, "model_id": f"{self.model_id}@{version.version_id}"}

    def versions(self) -> list[Any]:
        """Its versions, as Vertex AI describes them; none where there is no such model yet."""
        from google.api_core.exceptions import NotFound

        try:
            return list(self.hook.list_model_versions(**self.place, model_id=self.model_id))
        except NotFound:
            return []


def numbered_name(version: Any) -> str:
    """A version's resource name with Vertex AI's number of it, as `projects/…/models/mnist@3`."""
    return f"{version.name.partition('@')[0]}@{version.version_id}"


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
                numbered_name(found),
                image,
                container_image,
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


def move_aliases(target: VertexModel, pointer: LivePointer) -> dict[str, str]:
    """Put the aliases where the live pointer points.

    `live` and `default` go to the live version, `canary` to the one so labelled. Where that one is
    not registered, nothing has the alias: it must not stay on a version that is it no more. Only `default`
    stays, for Vertex AI wants a model to have it.

    Returns:
        Alias to Vertex AI's number of the version that has it now.
    """
    versions = target.versions()
    ours = {version.labels.get(VERSION_LABEL): version for version in reversed(versions)}
    wanted = {"live": pointer.version, "default": pointer.version, "canary": pointer.labels.get("canary")}
    has: dict[str, str] = {}
    for alias, version in wanted.items():
        holder = next((item for item in versions if alias in item.version_aliases), None)
        chosen = ours.get(str(version))
        if chosen is None and holder is not None and alias != "default":
            target.hook.delete_version_aliases(**target.numbered(holder), version_aliases=[alias])
            log.info("alias %s taken from %s", alias, numbered_name(holder))
        elif chosen is not None and chosen is not holder:
            # Vertex AI takes the alias from whichever version has it, in the same step.
            target.hook.add_version_aliases(**target.numbered(chosen), version_aliases=[alias])
            log.info("alias %s moved to %s", alias, numbered_name(chosen))
        kept = chosen or (holder if alias == "default" else None)
        if kept is not None:
            has[alias] = kept.version_id
    return has
