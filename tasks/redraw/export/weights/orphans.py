"""Find averages without a weight, and weights without an average."""

from __future__ import annotations

import difflib
import fnmatch
import logging
from collections.abc import Collection, Iterable

from redraw.checkpoint.formats.parts import joined_names
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.objects.averages import AVERAGE_SUFFIX, orphaned_averages
from redraw.errors import CheckpointMismatch, short_list
from redraw.export.weights.ledger import Served
from redraw.export.weights.request import WeightsRequest
from redraw.export.weights.suggestions import differ_by_counters

logger = logging.getLogger(__name__)


def demand_owned(request: WeightsRequest, source: CheckpointSource) -> None:
    """Check that every average belongs to a weight, which would otherwise be served raw.

    Args:
        request: Its `renames` may name an average, and its `training_only` those that are not served.
        source: The checkpoint.

    Raises:
        CheckpointMismatch: An average belongs to no weight.
    """
    keys = {*source.entries, *joined_names(source.entries)}
    # A variable that is served by its full name is a weight: an average of statistics, of old batch norm.
    weights = {name for _, name in request.renames} | {variable.name for variable in request.variables}
    orphans = [
        key
        for key in orphaned_averages(keys, source.graph)
        if key not in weights and not _is_training_only(key, request.training_only)
    ]
    if orphans:
        name = orphans[0].removesuffix(AVERAGE_SUFFIX)
        raise CheckpointMismatch(
            f"average {orphans[0]!r}: expected a weight {name!r} for this average, found none in the"
            " checkpoint (nearest weight without an average:"
            f" {_nearest(orphans[0], name, request, source)}; all averages without a weight:"
            f" {short_list(orphans, 'averages that belong to no weight')}). Add the pair (weight's name,"
            " average's name) to the definition's renames, or export with --weights raw."
        )


def _nearest(orphan: str, name: str, request: WeightsRequest, source: CheckpointSource) -> str:
    """The unaveraged weight of the same shape with the nearest name; none if counters differ."""
    entry = source.entries.get(orphan)
    free = [
        variable.name
        for variable in (*request.variables, *request.unreached)
        if f"{variable.name}{AVERAGE_SUFFIX}" not in source.entries
        and variable.trainable
        and (entry is None or tuple(variable.shape) == entry.shape)
    ]
    near = difflib.get_close_matches(name, free, n=1, cutoff=0.0)
    if not near or any(differ_by_counters(other, near[0]) for other in (name, *free)):
        return "none that is certain"
    return near[0]


def _is_training_only(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(n, p) for n in (key, key.removesuffix(AVERAGE_SUFFIX)) for p in patterns)


def find_unaveraged(
    served: Iterable[Served], averages: Collection[str], request: WeightsRequest
) -> tuple[str, ...]:
    """The trained weights that are served raw among averages, because the checkpoint has none of them.

    Args:
        served: The served variables, as averages if they have one.
        averages: The keys of all averages.
        request: The request for averages.

    Returns:
        Their names, which are also logged.
    """
    trained = {variable.name for variable in request.variables if variable.trainable}
    raw = [entry.variable for entry in served if entry.key not in averages and entry.variable in trained]
    if raw:
        logger.warning("served raw, because the checkpoint has no average of them: %s", ", ".join(raw))
    return tuple(raw)
