"""Which datasets a task read and wrote, for OpenLineage, where that is switched on.

The provider calls an operator's `get_openlineage_facets_on_…` and has these classes; without it nobody
calls, so nothing of it is imported before. A dataset is named by where its files lie.

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
    """A dataset: where its files lie, and which state of it this is."""

    uri: Uri
    version: str


def trace_record(record: Record | None) -> tuple[list[Traced], list[Traced]]:
    """What a stage read and wrote, as its record says: checkpoints in, checkpoints and versions out."""
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


def trace_arguments(arguments: Iterable[Any]) -> list[Traced]:
    """What a task was given to read, known also where it failed: the records among its arguments."""
    return list(_given(arguments))


def describe_lineage(read: Iterable[Traced], written: Iterable[Traced]) -> OperatorLineage[Any, Any]:
    """The same in OpenLineage's words."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(inputs=list(map(_dataset, read)), outputs=list(map(_dataset, written)))


def _given(arguments: Iterable[Any]) -> Iterator[Traced]:
    for value in arguments:
        if isinstance(value, list | tuple):
            yield from _given(value)
        elif isinstance(value, Mapping) and value.get("record") == Checkpoint.__name__:
            yield _checkpoint(Checkpoint.from_json(value))
        elif isinstance(value, Mapping) and value.get("record") == ExportedModel.__name__:
            yield _checkpoint(ExportedModel.from_json(value).checkpoint)


def _checkpoint(checkpoint: Checkpoint) -> Traced:
    return Traced(uri=checkpoint.uri, version=checkpoint.digest)


def _batch(report: ReexportReport) -> tuple[list[Traced], list[Traced]]:
    done = [row for row in report.checkpoints if row.outcome == "exported"]
    # What a row was asked for by has no digest; its step is what tells it from the others there.
    read = [Traced(uri=Uri(row.uri), version=str(row.step)) for row in done]
    folder = report.bucket / report.model
    return read, [Traced(uri=folder / str(row.version), version=str(row.version)) for row in done]


def _dataset(traced: Traced) -> Dataset:
    from openlineage.client.event_v2 import Dataset
    from openlineage.client.facet_v2 import dataset_version_dataset

    uri = traced.uri
    return Dataset(
        namespace=f"gs://{uri.bucket}" if uri.is_bucket else "file",
        name=uri.key if uri.is_bucket else os.path.abspath(uri),
        facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=traced.version)},
    )
