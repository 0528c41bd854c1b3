"""A version's bill of materials, as CycloneDX has it for models.

Source:
    https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion

from redraw.publish.bucket.layout import Claim
from redraw.publish.passport.statements import made_with
from redraw.records import Release
from redraw.records.files import ListedFile
from redraw.records.signature import TensorSpec
from redraw.uri import Uri

__all__ = ["encode_bom"]


def encode_bom(release: Release, claim: Claim, bucket: Uri, files: Mapping[str, str]) -> str:
    """The bill of materials: the model with its card and files, its checkpoint, and what made it.

    Args:
        release: The version's record.
        claim: Its claim, with the files.
        bucket: The model bucket.
        files: Name of the model card and of each attestation to its SHA-256.
    """
    model, checkpoint = _model(release, claim, bucket, files), _checkpoint(release)
    libraries = [
        Component(type=_kind(url.name), name=url.name, version=url.version, purl=url, bom_ref=url.to_string())
        for url in made_with(release.provenance.made_by)
    ]
    bom = Bom(
        components=[checkpoint, *libraries],
        # The same for the same version, so that the same records make the same bytes.
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{release.uri}#{release.digest}"),
    )
    bom.metadata.timestamp = datetime.fromisoformat(release.pushed_at)
    bom.metadata.component = model
    bom.register_dependency(model, [checkpoint, *libraries])
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    value: dict[str, Any] = json.loads(outputter.output_as_string())
    # The library 11.12 has no class for model cards: cyclonedx.model.component names it as to be done.
    value["metadata"]["component"]["modelCard"] = _model_card(release)
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _kind(name: str) -> ComponentType:
    return {
        "python": ComponentType.PLATFORM,
        "tensorflow": ComponentType.FRAMEWORK,
        "keras": ComponentType.FRAMEWORK,
    }.get(name, ComponentType.LIBRARY)


def _model(release: Release, claim: Claim, bucket: Uri, files: Mapping[str, str]) -> Component:
    references = [_reference(ExternalReferenceType.DISTRIBUTION, release.uri)]
    for name, sha256 in files.items():
        kind = ExternalReferenceType.MODEL_CARD if name.endswith(".md") else ExternalReferenceType.ATTESTATION
        references.append(_reference(kind, name, sha256))
    for file in release.attachments.values():
        references.append(_reference(ExternalReferenceType.EVIDENCE, bucket / file.name, file.sha256))
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=release.model,
        version=str(release.version),
        bom_ref=f"model:{release.digest}",
        components=[_file(file) for file in claim.manifest],
        external_references=references,
        properties=[
            Property(name="redraw:digest", value=release.digest),
            Property(name="redraw:size_bytes", value=str(release.size_bytes)),
            Property(name="redraw:weights", value=release.weights),
        ],
    )


def _file(file: ListedFile) -> Component:
    return Component(
        type=ComponentType.FILE, name=file.name, bom_ref=f"file:{file.name}", hashes=[_hash(file.sha256)]
    )


def _checkpoint(release: Release) -> Component:
    checkpoint = release.checkpoint
    return Component(
        type=ComponentType.DATA,
        name="checkpoint",
        version=str(checkpoint.step),
        bom_ref=f"checkpoint:{checkpoint.digest}",
        external_references=[_reference(ExternalReferenceType.SOURCE_DISTRIBUTION, checkpoint.files_uri)],
        properties=[
            Property(name="redraw:digest", value=checkpoint.digest),
            Property(name="redraw:trained_at", value=checkpoint.trained_at),
        ],
    )


def _reference(kind: ExternalReferenceType, url: str, sha256: str | None = None) -> ExternalReference:
    return ExternalReference(type=kind, url=XsUri(url), hashes=[_hash(sha256)] if sha256 else None)


def _hash(sha256: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=sha256)


def _model_card(release: Release) -> dict[str, Any]:
    signatures = sorted(release.signatures.items())
    return {
        "modelParameters": {
            "inputs": [tensor for name, one in signatures for tensor in _tensors(name, one.inputs)],
            "outputs": [tensor for name, one in signatures for tensor in _tensors(name, one.outputs)],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {"type": name, "value": "not a number" if value is None else repr(value)}
                for name, value in sorted(release.checkpoint.metrics.items())
            ]
        },
    }


def _tensors(signature: str, tensors: Mapping[str, TensorSpec]) -> list[dict[str, str]]:
    return [{"format": f"{signature}/{name}: {spec}"} for name, spec in sorted(tensors.items())]
