"""A version's model card: Markdown with a front matter that programs can read."""

from __future__ import annotations

from collections.abc import Mapping

from redraw.publish.bucket.layout import Claim
from redraw.publish.passport.text import Yaml, encode_yaml, escape_markdown, format_table
from redraw.records import Release
from redraw.records.attachments import Description, Latency
from redraw.records.files import SIGNATURE_FILE
from redraw.records.signature import TensorSpec


def encode_card(
    release: Release, claim: Claim, description: Description, latencies: Mapping[str, tuple[Latency, ...]]
) -> str:
    """The card of a version, made only of its records and its definition.

    Args:
        release: Its record.
        claim: Its claim, with the files.
        description: The definition's description of the model.
        latencies: Signature to the measurements for each size of requests.
    """
    title = f"{release.model} {release.version}"
    sections = {
        "What it is": _facts(release, description),
        "Intended use": _text(description.intended_use),
        "Limits": _text(description.limits),
        "Data": "".join(f"- {escape_markdown(name)}\n" for name in description.data_sets) or _UNSAID,
        "Inputs and outputs": _signatures(release),
        "Metrics": _metrics(release),
        "Latencies": _latencies(latencies),
        "Checks": _checks(release),
        "Where it comes from": _provenance(release),
        "Files": format_table(
            ("File", "Bytes", "SHA-256"), ((f.name, f.size, f.sha256) for f in claim.manifest)
        ),
    }
    text = "".join(f"\n## {heading}\n\n{section}" for heading, section in sections.items())
    return f"---\n{encode_yaml(_front_matter(release, description))}---\n\n# {escape_markdown(title)}\n{text}"


_UNSAID = "Not stated in the definition.\n"


def _text(text: str) -> str:
    return f"{escape_markdown(text)}\n" if text.strip() else _UNSAID


def _front_matter(release: Release, description: Description) -> Mapping[str, Yaml]:
    made_by = release.provenance.made_by
    metrics: list[Yaml] = [
        {"name": name, "value": value} for name, value in sorted(release.checkpoint.metrics.items())
    ]
    return {
        "model_name": release.model,
        # A text, because readers would parse such a long number as a float.
        "version": str(release.version),
        "uri": release.uri,
        "digest": release.digest,
        "size_bytes": release.size_bytes,
        "trained_at": release.checkpoint.trained_at,
        "pushed_at": release.pushed_at,
        "owner": description.owner or None,
        "license": description.license or None,
        "intended_use": description.intended_use or None,
        "limits": description.limits or None,
        "datasets": list(description.data_sets),
        "library_name": "tensorflow",
        "library_version": made_by.tensorflow if made_by else None,
        "metrics": metrics,
    }


def _facts(release: Release, description: Description) -> str:
    checkpoint = release.checkpoint
    rows = {
        "Owner": description.owner or "not stated in the definition",
        "License": description.license or "not stated in the definition",
        "Served from": release.uri,
        "Digest of all files": release.digest,
        "Size": f"{release.size_bytes:,} bytes",
        "Weights": f"{release.weights}, of step {checkpoint.step}, saved at {checkpoint.trained_at}",
        "Variables": f"{release.ledger.served} served",
        "Tensors that serving does not need": _counts(release.ledger.dropped),
        "Published": release.pushed_at,
        "Answers compared by": ", ".join(release.proofs or release.report.proofs) or "no check",
        "Signed": "yes" if release.signature or SIGNATURE_FILE in release.attachments else "no",
    }
    return format_table(("", ""), rows.items())


def _counts(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{rule}: {count}" for rule, count in sorted(dropped.items())) or "none"


def _signatures(release: Release) -> str:
    def rows(way: str, name: str, tensors: Mapping[str, TensorSpec]) -> list[tuple[object, ...]]:
        return [(name, way, tensor, spec) for tensor, spec in sorted(tensors.items())]

    table = [
        row
        for name, signature in sorted(release.signatures.items())
        for row in (*rows("takes", name, signature.inputs), *rows("answers", name, signature.outputs))
    ]
    return format_table(("Signature", "", "Tensor", "Type and shape"), table)


def _metrics(release: Release) -> str:
    lower = release.checkpoint.lower_is_better
    rows = (
        (name, "not a number" if value is None else f"{value:.6g}", "lower" if name in lower else "")
        for name, value in sorted(release.checkpoint.metrics.items())
    )
    return format_table(("Metric of the checkpoint", "Value", "Better"), rows)


def _latencies(latencies: Mapping[str, tuple[Latency, ...]]) -> str:
    rows = (
        (name, size.rows, *_times(size), f"{size.rows_per_second:,.0f}", size.runs)
        for name, sizes in sorted(latencies.items())
        for size in sizes
    )
    heads = ("Signature", "Rows", "p50 ms", "p95 ms", "p99 ms", "Rows a second", "Requests")
    return format_table(heads, rows)


def _times(size: Latency) -> tuple[str, ...]:
    return tuple(f"{value:.3g}" for value in (size.p50_ms, size.p95_ms, size.p99_ms))


def _checks(release: Release) -> str:
    heads = ("Check", "Status", "Looked at", "Expected", "Found", "Waived because")
    return format_table(
        heads,
        (
            (check.name, check.status, check.looked_at, check.expected, check.found, check.waived)
            for check in release.report.checks
        ),
    )


def _provenance(release: Release) -> str:
    provenance, checkpoint = release.provenance, release.checkpoint
    rows: dict[str, object] = {
        "Checkpoint": checkpoint.files_uri,
        "Digest of its tensors": checkpoint.digest,
        "Training run": checkpoint.run,
        "Validated": release.report.validated_at,
        "Digest of the report": provenance.report_digest,
        "Asked for by": provenance.asked_by,
        "Approved by": provenance.approved_by,
        "Airflow run": provenance.dag_run,
    }
    if made_by := provenance.made_by:
        changed = " with uncommitted changes" if made_by.git_dirty else ""
        rows |= {
            "Digest of the definition": made_by.definition_digest,
            "Commit": f"{made_by.git_revision}{changed}" if made_by.git_revision else None,
            "TensorFlow": made_by.tensorflow,
            "Keras": made_by.keras,
            "Python": made_by.python,
            "Redraw": made_by.redraw,
            "Exported": made_by.exported_at,
        }
    return format_table(("", ""), ((key, value) for key, value in rows.items() if value))
