"""A version's bill of materials, as CycloneDX has it for models.

Source:
    https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from redraw.errors import printable
from redraw.publish.bucket.layout import Claim
from redraw.publish.passport.statements import made_with
from redraw.records import Release
from redraw.records.attachments import Description
from redraw.records.files import ListedFile
from redraw.records.signature import TensorSpec
from redraw.uri import Uri

# URIs that every reader of the schema accepts; any other text in a definition is a name.
_PATH = r"(/([\w.~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?"
_URI = re.compile(rf"[a-z][a-z0-9+.-]*://[\w.-]+(:\d+)?{_PATH}", re.ASCII)


def encode_bom(
    release: Release, claim: Claim, bucket: Uri, description: Description, files: Mapping[str, str]
) -> str:
    """The bill of materials: the model with its card and files, its checkpoint, and what made it.

    Args:
        release: The version's record.
        claim: Its claim, with the files.
        bucket: The model bucket.
        description: The definition's description of the model.
        files: Name of the model card and of each attestation to its SHA-256.
    """
    model, checkpoint = _model(release, claim, bucket, files), _checkpoint(release)
    if description.license:
        from cyclonedx.spdx import fixup_id  # reads a list of all licenses

        spdx_id = fixup_id(description.license)
        name = None if spdx_id else printable(description.license)
        model.licenses.add(DisjunctiveLicense(id=spdx_id, name=name))
    if description.owner:
        model.supplier = OrganizationalEntity(name=printable(description.owner))
    libraries = [
        Component(
            type=_kind(package.name),
            name=package.name,
            version=package.version,
            purl=PackageURL.from_string(package.url),
            bom_ref=package.url,
        )
        for package in made_with(release.provenance.made_by)
    ]
    data_sets = [_data_set(name) for name in dict.fromkeys(description.data_sets) if name.strip()]
    bom = Bom(
        components=[checkpoint, *data_sets, *libraries],
        # The same for the same version, so that the same records give the same bytes.
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{release.uri}#{release.digest}"),
    )
    bom.metadata.timestamp = datetime.fromisoformat(release.pushed_at)
    bom.metadata.component = model
    bom.register_dependency(model, [checkpoint, *libraries])
    bom.register_dependency(checkpoint, data_sets)
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    value: dict[str, Any] = json.loads(outputter.output_as_string())
    # cyclonedx-python-lib 11.12 has no class for model cards: cyclonedx.model.component lists it as a to-do.
    value["metadata"]["component"]["modelCard"] = _model_card(release, description)
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _kind(name: str) -> ComponentType:
    return {
        "python": ComponentType.PLATFORM,
        "tensorflow": ComponentType.FRAMEWORK,
        "keras": ComponentType.FRAMEWORK,
    }.get(name, ComponentType.LIBRARY)


def _model(release: Release, claim: Claim, bucket: Uri, files: Mapping[str, str]) -> Component:
    references = [_reference(ExternalReferenceType.DISTRIBUTION, _encoded(release.uri))]
    for name, sha256 in files.items():
        kind = ExternalReferenceType.MODEL_CARD if name.endswith(".md") else ExternalReferenceType.ATTESTATION
        references.append(_reference(kind, _encoded(name), sha256))
    for file in release.attachments.values():
        uri = _encoded(bucket / file.name)
        references.append(_reference(ExternalReferenceType.EVIDENCE, uri, file.sha256))
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
        external_references=[
            _reference(ExternalReferenceType.SOURCE_DISTRIBUTION, _encoded(checkpoint.files_uri))
        ],
        properties=[
            Property(name="redraw:digest", value=checkpoint.digest),
            Property(name="redraw:trained_at", value=checkpoint.trained_at),
        ],
    )


def _data_set(name: str) -> Component:
    """A data set that the definition names, with its URI if the name is one."""
    references = [_reference(ExternalReferenceType.DISTRIBUTION, name)] if _URI.fullmatch(name) else None
    return Component(
        type=ComponentType.DATA,
        name=printable(name),
        bom_ref=f"data-set:{hashlib.sha256(name.encode(errors='backslashreplace')).hexdigest()}",
        external_references=references,
    )


def _encoded(place: str) -> str:
    """A path, or the URI of an object whose name may have any character, encoded as a URI."""
    return quote(place, safe="/:@!$&'()*+,;=", errors="backslashreplace")


def _reference(kind: ExternalReferenceType, url: str, sha256: str | None = None) -> ExternalReference:
    return ExternalReference(type=kind, url=XsUri(url), hashes=[_hash(sha256)] if sha256 else None)


def _hash(sha256: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=sha256)


def _model_card(release: Release, description: Description) -> dict[str, Any]:
    signatures = sorted(release.signatures.items())
    considerations = {"useCases": description.intended_use, "technicalLimitations": description.limits}
    return {
        "considerations": {name: [printable(text)] for name, text in considerations.items() if text},
        "modelParameters": {
            "inputs": [tensor for name, spec in signatures for tensor in _tensors(name, spec.inputs)],
            "outputs": [tensor for name, spec in signatures for tensor in _tensors(name, spec.outputs)],
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
