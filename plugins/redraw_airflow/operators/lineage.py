"""The datasets that a task read and wrote, for OpenLineage if that is switched on.

The OpenLineage provider calls an operator's `get_openlineage_facets_on_…` and has these classes. They are
imported only then, because the provider may be missing. A dataset is named by the place of its files.

Source:
    https://openlineage.io/docs/spec/naming/
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redraw.records import Checkpoint, ExportedModel, Record, Release
from redraw.records.reexport import ReexportReport
from redraw.uri import Uri

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import Dataset


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A dataset: the place of its files, and its version."""

    uri: Uri
    version: str


def trace_record(record: Record | None) -> tuple[list[Traced], list[Traced]]:
    """The datasets that a stage read and wrote, by its record: checkpoints and versions."""
    match record:
        case Checkpoint():
            return [], [_checkpoint(record)]
        case ExportedModel():
            return [_checkpoint(record.checkpoint)], []
        case Release():
            return [_checkpoint(record.checkpoint)], [Traced(uri=record.uri, version=str(record.version))]
        case ReexportReport():
            return _batch(record)
        case _:
            return [], []


def trace_arguments(arguments: Iterable[object]) -> list[Traced]:
    """The datasets in the records among a task's arguments, which a failed task has, too."""
    return list(_trace_values(arguments))


def describe_lineage(inputs: Iterable[Traced], outputs: Iterable[Traced]) -> OperatorLineage[Any, Any]:
    """Put the datasets into OpenLineage's form."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(inputs=list(map(_dataset, inputs)), outputs=list(map(_dataset, outputs)))


def _trace_values(arguments: Iterable[object]) -> Iterator[Traced]:
    for value in arguments:
        if isinstance(value, list | tuple):
            yield from _trace_values(value)
        elif isinstance(value, Mapping) and value.get("record") == Checkpoint.__name__:
            yield _checkpoint(Checkpoint.from_json(value))
        elif isinstance(value, Mapping) and value.get("record") == ExportedModel.__name__:
            yield _checkpoint(ExportedModel.from_json(value).checkpoint)


def _checkpoint(checkpoint: Checkpoint) -> Traced:
    return Traced(uri=checkpoint.uri, version=checkpoint.digest)


def _batch(report: ReexportReport) -> tuple[list[Traced], list[Traced]]:
    exported = [row for row in report.checkpoints if row.outcome == "exported"]
    # A row has no digest of its checkpoint; its step identifies it in the catalogue.
    inputs = [Traced(uri=Uri(row.uri), version=str(row.step)) for row in exported]
    folder = report.bucket / report.model
    return inputs, [Traced(uri=folder / str(row.version), version=str(row.version)) for row in exported]


def _dataset(traced: Traced) -> Dataset:
    from openlineage.client.event_v2 import Dataset
    from openlineage.client.facet_v2 import dataset_version_dataset

    uri = traced.uri
    return Dataset(
        namespace=f"gs://{uri.bucket}" if uri.is_bucket else "file",
        name=uri.key if uri.is_bucket else os.path.abspath(uri),
        facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=traced.version)},
    )
