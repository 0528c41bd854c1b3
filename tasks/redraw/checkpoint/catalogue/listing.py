"""List a model's checkpoints in the catalogue, and choose among them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from redraw.checkpoint.catalogue.store import folder_name, read_record
from redraw.errors import CheckpointNotFound, InvalidName, InvalidRecord
from redraw.names import CHECKPOINT_RECORD, ModelName
from redraw.records import Checkpoint, UnreadableRecord, format_metrics
from redraw.records.results import CheckpointList
from redraw.requests import CheckpointRequest, CheckpointsRequest
from redraw.storage.opening import map_ahead, open_storage
from redraw.uri import Uri

logger = logging.getLogger(__name__)

_NAME = re.compile(r"\d+(-[0-9a-f]{1,64})?")
_SHOWN = 10


def list_catalogue(request: CheckpointsRequest) -> CheckpointList:
    """List a model's checkpoints, the newest weights first.

    Args:
        request: The model, the catalogue, and filters on times and steps.

    Returns:
        The records; those that are damaged, or that a newer version of Redraw wrote, are listed apart.

    Raises:
        StorageError: The catalogue cannot be read.
    """
    unreadable: list[UnreadableRecord] = []
    checkpoints = list_checkpoints(
        request.catalogue,
        request.model,
        trained_from=request.from_time,
        trained_to=request.to_time,
        unreadable=unreadable,
    )
    selected = [
        checkpoint for checkpoint in checkpoints if not request.steps or checkpoint.step in request.steps
    ]
    return CheckpointList(
        model=request.model,
        checkpoints=tuple(sorted(selected, key=_age, reverse=True)),
        unreadable=tuple(unreadable),
    )


def list_checkpoints(
    catalogue: Uri,
    model: ModelName,
    *,
    trained_from: str | None = None,
    trained_to: str | None = None,
    unreadable: list[UnreadableRecord] | None = None,
    known: Mapping[str, int] | None = None,
    seen: dict[str, int] | None = None,
) -> Iterator[Checkpoint]:
    """Iterate over a model's checkpoints with a few records in memory at a time.

    Args:
        catalogue: A folder or a `gs://` URI.
        model: The definition's name.
        trained_from: Only checkpoints trained then or later; in the records' time format.
        trained_to: Only checkpoints trained before then.
        unreadable: Collects the records that are damaged, or that a newer version of Redraw wrote; they
            are skipped and logged.
        known: Records not to read again: the names and generations that an earlier call put into `seen`.
        seen: Collects the name and the generation of each existing record.

    Yields:
        The records, in no particular order.

    Raises:
        StorageError: The catalogue cannot be read.
    """
    for record in _records(catalogue, model, "", known, seen):
        if isinstance(record, _Unreadable):
            logger.warning("skipped: %s", record.error)
            if unreadable is not None:
                unreadable.append(UnreadableRecord(uri=record.uri, reason=str(record.error)))
        elif (trained_from or "") <= record.trained_at and not (
            trained_to and record.trained_at >= trained_to
        ):
            yield record


def choose_checkpoint(request: CheckpointRequest) -> Checkpoint:
    """Choose one of the catalogue's checkpoints by step, by metric or as the newest.

    Args:
        request: The model, the catalogue, and how to choose; it names no run.

    Returns:
        The record; of equal values the one with the newest weights.

    Raises:
        CheckpointNotFound: No checkpoint matches, or several have the step.
        StorageError: The catalogue cannot be read.
    """
    if request.step is not None:
        return find_named(request.catalogue, request.model, str(request.step))
    metric, metrics, lower = request.best, set[str](), {"loss"}
    ends: list[Checkpoint] = []
    for checkpoint in list_checkpoints(request.catalogue, request.model):
        metrics |= set(checkpoint.metrics)
        lower |= set(checkpoint.lower_is_better)
        if metric is None or checkpoint.metrics.get(metric) is not None:
            # The highest and the lowest, because only a later record may say which of them is better.
            ends = [_best([*ends, checkpoint], metric, lowest=lowest) for lowest in (False, True)]
    if not ends:
        expected = "checkpoints" if metric is None else f"metric {metric!r}"
        raise CheckpointNotFound(
            f"{request.catalogue.absolute()}/{request.model}: expected {expected}, got"
            f" {', '.join(sorted(metrics)) or 'none'}. Choose one of these, or add a checkpoint with"
            " 'redraw checkpoint' or 'redraw adopt'."
        )
    return ends[metric is not None and metric.removeprefix("average_") in lower]


def is_folder_name(name: str) -> bool:
    """Whether a text has the form `<step>` or `<step>-<digest>`."""
    return bool(_NAME.fullmatch(name))


def find_named(catalogue: Uri, model: ModelName, name: str) -> Checkpoint:
    """Find a checkpoint by the name of its folder.

    Args:
        catalogue: A folder or a `gs://` URI.
        model: The definition's name.
        name: `<step>`, or `<step>-<digest>` with enough of the digest to be unique.

    Raises:
        CheckpointNotFound: No checkpoint has that name, or several have.
        InvalidRecord: Its record is damaged, or a newer version of Redraw wrote it.
        StorageError: The catalogue cannot be read.
    """
    where = catalogue.absolute() / model
    if not is_folder_name(name):
        raise CheckpointNotFound(
            f"{where}: expected a checkpoint's name STEP or STEP-DIGEST, got {name!r}. List the names with"
            " 'redraw checkpoints'."
        )
    # The catalogue's folders have twelve digits of the digest.
    step, _, digest = name.partition("-")
    matches: list[Checkpoint] = []
    for record in _records(catalogue, model, f"{step}-{digest[:12]}"):
        if isinstance(record, _Unreadable):
            raise record.error
        matches.append(record)
    if len(matches) != 1:
        names = ", ".join(f"{item.step}-{item.digest[:12]} of {item.trained_at}" for item in matches[:_SHOWN])
        raise CheckpointNotFound(
            f"{where}: expected exactly one checkpoint {name}, found {names or 'none'}. List the"
            " checkpoints with 'redraw checkpoints', and name one as STEP-DIGEST."
        )
    return matches[0]


@dataclass(frozen=True, kw_only=True)
class _Unreadable:
    """A checkpoint whose record cannot be read."""

    uri: str
    error: InvalidRecord


def _records(
    catalogue: Uri,
    model: ModelName,
    name: str,
    known: Mapping[str, int] | None = None,
    seen: dict[str, int] | None = None,
) -> Iterator[Checkpoint | _Unreadable]:
    if not catalogue.is_bucket and Path(catalogue).exists() and not Path(catalogue).is_dir():
        raise InvalidName(f"{catalogue}: expected a catalogue (a folder), got a file. Correct the path.")
    storage = open_storage(catalogue.absolute())

    def list_folders() -> Iterator[str]:
        for item in storage.walk(f"{model}/{name}"):
            if not item.name.endswith(f"/{CHECKPOINT_RECORD}"):
                continue
            if seen is not None:
                seen[item.name] = item.generation
            if known is None or known.get(item.name) != item.generation:
                yield item.name.removesuffix(f"/{CHECKPOINT_RECORD}")

    def read_folder(folder: str) -> Checkpoint | _Unreadable | None:
        try:
            return read_record(storage, folder)
        except InvalidRecord as err:
            return _Unreadable(uri=f"{storage.uri}/{folder}", error=err)

    # A record may have been removed since it was listed.
    records = map_ahead(read_folder, list_folders())
    return (record for record in records if record is not None)


def _best(checkpoints: Iterable[Checkpoint], metric: str | None, *, lowest: bool) -> Checkpoint:
    def merit(checkpoint: Checkpoint) -> tuple[float, tuple[str, int]]:
        value = 0.0 if metric is None else checkpoint.metrics[metric] or 0.0
        return -value if lowest else value, _age(checkpoint)

    return max(checkpoints, key=merit)


def _age(checkpoint: Checkpoint) -> tuple[str, int]:
    return checkpoint.trained_at, checkpoint.step


def print_checkpoints(listed: CheckpointList) -> None:
    """Print a table to standard output."""
    from rich.table import Table

    from redraw.console import cell, open_console

    table = Table(title=f"{len(listed.checkpoints):,} checkpoints of {listed.model}", title_justify="left")
    for heading in ("Trained at", "Checkpoint", "Format", "Bytes", "Run", "Metrics", "Where"):
        table.add_column(heading, justify="right" if heading == "Bytes" else "left", overflow="fold")
    for checkpoint in listed.checkpoints:
        table.add_row(*map(cell, _cells(checkpoint)))
    open_console().print(table)


def _cells(checkpoint: Checkpoint) -> tuple[str, ...]:
    return (
        checkpoint.trained_at,
        folder_name(checkpoint.step, checkpoint.digest),
        checkpoint.format,
        f"{checkpoint.size_bytes:,}",
        checkpoint.run or "",
        format_metrics(checkpoint.metrics),
        "in the catalogue" if checkpoint.prefix else checkpoint.uri,
    )
