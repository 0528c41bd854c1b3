"""List a model's checkpoints in the catalogue, and choose among them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
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
        request: The model, the catalogue, and between which times and of which steps.

    Returns:
        The records; those that are damaged, or that a newer version of Redraw wrote, are listed apart.

    Raises:
        StorageError: The catalogue cannot be read.
    """
    unreadable: list[UnreadableRecord] = []
    found = list_checkpoints(
        request.catalogue,
        request.model,
        trained_from=request.from_time,
        trained_to=request.to_time,
        unreadable=unreadable,
    )
    wanted = [checkpoint for checkpoint in found if not request.steps or checkpoint.step in request.steps]
    return CheckpointList(
        model=request.model,
        checkpoints=tuple(sorted(wanted, key=_age, reverse=True)),
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
    """Go through a model's checkpoints; a few records are in memory at a time.

    Args:
        catalogue: A folder or a `gs://` URI.
        model: The definition's name.
        trained_from: Those trained then or later, as records have times.
        trained_to: Those trained before.
        unreadable: Takes the records that are damaged, or that a newer version of Redraw wrote; they are
            skipped and logged.
        known: Records that are not read again, by the names and generations that an earlier call put into
            `seen`.
        seen: Takes the name and the generation of each record that is there.

    Yields:
        The records, in no order that says anything.

    Raises:
        StorageError: The catalogue cannot be read.
    """
    for found in _records(catalogue, model, "", known, seen):
        if isinstance(found, _Unreadable):
            logger.warning("skipped: %s", found.error)
            if unreadable is not None:
                unreadable.append(UnreadableRecord(uri=found.uri, reason=str(found.error)))
        elif (trained_from or "") <= found.trained_at and not (trained_to and found.trained_at >= trained_to):
            yield found


def choose_checkpoint(request: CheckpointRequest) -> Checkpoint:
    """Choose one of the catalogue's checkpoints by step, by metric or as the newest.

    Args:
        request: The model, the catalogue, and how to choose; it names no run.

    Returns:
        The record. Of equal values the newest weights.

    Raises:
        CheckpointNotFound: There is none, not that step's, none with the metric, or several of the step.
        StorageError: The catalogue cannot be read.
    """
    if request.step is not None:
        return find_named(request.catalogue, request.model, str(request.step))
    metric, metrics, lower, best = request.best, set[str](), {"loss"}, list[Checkpoint]()
    for found in list_checkpoints(request.catalogue, request.model):
        metrics |= set(found.metrics)
        lower |= set(found.lower_is_better)
        if metric is None or found.metrics.get(metric) is not None:
            falling = metric is not None and metric.removeprefix("average_") in lower
            best = [max([*best, found], key=lambda item: (_merit(item, metric, falling), _age(item)))]
    if not best:
        known = "checkpoints" if metric is None else f"metric {metric!r}"
        raise CheckpointNotFound(
            f"{request.catalogue.absolute()}/{request.model}: expected {known}, got"
            f" {', '.join(sorted(metrics)) or 'none'}. Choose one of these, or put a checkpoint there."
        )
    return best[0]


def is_folder_name(name: str) -> bool:
    """Whether a text has the form `<step>` or `<step>-<digest>`."""
    return bool(_NAME.fullmatch(name))


def find_named(catalogue: Uri, model: ModelName, name: str) -> Checkpoint:
    """Find a checkpoint by the name of its folder.

    Args:
        catalogue: A folder or a `gs://` URI.
        model: The definition's name.
        name: `<step>`, or `<step>-<digest>` with as much of the digest as tells it from others.

    Raises:
        CheckpointNotFound: There is none of that name, or there are several.
        InvalidRecord: Its record is damaged, or a newer version of Redraw wrote it.
        StorageError: The catalogue cannot be read.
    """
    where = catalogue.absolute() / model
    if not is_folder_name(name):
        raise CheckpointNotFound(f"{where}: expected STEP or STEP-DIGEST, got {name!r}. Correct it.")
    # The catalogue's folders have twelve digits of the digest.
    step, _, digest = name.partition("-")
    found: list[Checkpoint] = []
    for record in _records(catalogue, model, f"{step}-{digest[:12]}"):
        if isinstance(record, _Unreadable):
            raise record.error
        found.append(record)
    if len(found) != 1:
        shown = ", ".join(f"{item.step}-{item.digest[:12]} of {item.trained_at}" for item in found[:_SHOWN])
        raise CheckpointNotFound(
            f"{where}: expected one checkpoint {name}, got {shown or 'none'}."
            " List them with 'redraw checkpoints', and name one as STEP-DIGEST."
        )
    return found[0]


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
        raise InvalidName(f"{catalogue}: expected the folder of a catalogue, got a file. Correct it.")
    storage = open_storage(catalogue.absolute())

    def list_folders() -> Iterator[str]:
        for item in storage.walk(f"{model}/{name}"):
            if not item.name.endswith(f"/{CHECKPOINT_RECORD}"):
                continue
            if seen is not None:
                seen[item.name] = item.generation
            if known is None or known.get(item.name) != item.generation:
                yield item.name.removesuffix(f"/{CHECKPOINT_RECORD}")

    def read(folder: str) -> Checkpoint | _Unreadable | None:
        try:
            return read_record(storage, folder)
        except InvalidRecord as err:
            return _Unreadable(uri=f"{storage.uri}/{folder}", error=err)

    # One that was removed since it was listed is no longer a checkpoint.
    found = map_ahead(read, list_folders())
    return (record for record in found if record is not None)


def _merit(checkpoint: Checkpoint, metric: str | None, falling: bool) -> float:
    value = (metric and checkpoint.metrics[metric]) or 0.0
    return -value if falling else value


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
