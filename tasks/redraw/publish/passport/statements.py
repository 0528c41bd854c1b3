"""A version's attestations: in-toto statements about its provenance and the results of its checks.

Source:
    https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
    https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from redraw.publish.bucket.layout import Claim, release_name
from redraw.publish.passport.evaluations import Evaluation
from redraw.records import MadeBy, Release
from redraw.uri import Uri

# docs/how-to/passport.md describes their fields.
_BUILD_TYPE = "urn:redraw:publish:v1"
_EVALUATION_TYPE = "urn:redraw:evaluation:v1"
_PACKAGES = {
    "tensorflow": ("pypi", "tensorflow"),
    "keras": ("pypi", "keras"),
    "redraw": ("pypi", "airflow-provider-redraw"),
    "python": ("generic", "python"),
}


def encode_provenance(release: Release, claim: Claim, bucket: Uri) -> str:
    """The statement with SLSA's provenance: the files, their builder, its inputs, and its by-products."""
    provenance = release.provenance
    builder = "airflow" if provenance.dag_run else "command"
    predicate = {
        "buildDefinition": {
            "buildType": _BUILD_TYPE,
            "externalParameters": {
                "model": release.model,
                "weights": release.weights,
                "waivers": dict(release.report.waivers),
                "allowBreaking": release.report.allow_breaking,
            },
            "internalParameters": {
                "askedBy": provenance.asked_by,
                "approvedBy": provenance.approved_by,
                "tryNumber": provenance.try_number,
            },
            "resolvedDependencies": _dependencies(release),
        },
        "runDetails": {
            "builder": {"id": f"urn:redraw:builder:{builder}"},
            "metadata": {
                **({"invocationId": provenance.dag_run} if provenance.dag_run else {}),
                "finishedOn": release.pushed_at,
            },
            "byproducts": _by_products(release, bucket),
        },
    }
    return _statement(claim, "https://slsa.dev/provenance/v1", predicate)


def encode_evaluation(release: Release, claim: Claim, evaluations: tuple[Evaluation, ...]) -> str:
    """The statement with the results of the checks, and the metrics of the checkpoint."""
    predicate = {
        "evaluatedOn": release.report.validated_at,
        "passed": release.report.passed,
        "reportDigest": release.provenance.report_digest,
        "comparedWithVersion": release.report.against,
        "results": [_result(evaluation) for evaluation in evaluations],
        "checkpointMetrics": dict(release.checkpoint.metrics),
    }
    return _statement(claim, _EVALUATION_TYPE, predicate)


class Package(NamedTuple):
    """A library, with its package URL (https://github.com/package-url/purl-spec)."""

    name: str
    version: str
    url: str


def made_with(made_by: MadeBy | None) -> tuple[Package, ...]:
    """The libraries that made the export, and Python; none if the record does not say."""
    if made_by is None:
        return ()
    versions = {name: str(getattr(made_by, name)) for name in _PACKAGES}
    return tuple(
        Package(
            package,
            versions[name],
            f"pkg:{kind}/{package}@{quote(versions[name], safe='', errors='backslashreplace')}",
        )
        for name, (kind, package) in _PACKAGES.items()
    )


def _statement(claim: Claim, kind: str, predicate: Mapping[str, Any]) -> str:
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": file.name, "digest": {"sha256": file.sha256}} for file in claim.manifest],
        "predicateType": kind,
        "predicate": predicate,
    }
    return json.dumps(statement, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _dependencies(release: Release) -> list[dict[str, Any]]:
    """What the version was made of; a digest that is not of one file's bytes has a name of its own."""
    checkpoint, made_by = release.checkpoint, release.provenance.made_by
    dependencies: list[dict[str, Any]] = [
        {
            "name": "checkpoint",
            "uri": checkpoint.files_uri,
            "digest": {"redrawTensorsSha256": checkpoint.digest},
            "annotations": {"step": checkpoint.step, "trainedAt": checkpoint.trained_at},
        }
    ]
    if not made_by:
        return dependencies
    dependencies.append({"name": "definition", "digest": {"redrawSourcesSha256": made_by.definition_digest}})
    if made_by.git_revision:
        dependencies.append(
            {
                "name": "repository",
                "digest": {"gitCommit": made_by.git_revision},
                "annotations": {"uncommittedChanges": made_by.git_dirty},
            }
        )
    packages = [{"name": package.name, "uri": package.url} for package in made_with(made_by)]
    return dependencies + packages


def _by_products(release: Release, bucket: Uri) -> list[dict[str, Any]]:
    return [
        {
            "name": "release record",
            "uri": bucket / release_name(release.model, release.version),
            "annotations": {"redrawReportSha256": release.provenance.report_digest},
        },
        *(
            {"name": name, "uri": bucket / file.name, "digest": {"sha256": file.sha256}}
            for name, file in sorted(release.attachments.items())
        ),
    ]


def _result(evaluation: Evaluation) -> dict[str, Any]:
    check = evaluation.check
    return {
        "check": check.name,
        "metric": evaluation.metric,
        "comparator": evaluation.comparator,
        "threshold": evaluation.threshold,
        "value": evaluation.value,
        "passed": evaluation.passed,
        "sampleSize": evaluation.sample_size,
        "part": evaluation.part,
        "status": check.status,
        "waived": check.waived,
        "lookedAt": check.looked_at,
        "expected": check.expected,
        "found": check.found,
        "seconds": check.seconds,
    }
