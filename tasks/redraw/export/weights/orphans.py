"""Averages that no weight is named for, and weights that have none."""

from __future__ import annotations

import difflib
import fnmatch
import logging
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from redraw.checkpoint.formats.parts import joined_names
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.objects.averages import AVERAGE_SUFFIX, orphaned_averages
from redraw.errors import CheckpointMismatch, short_list
from redraw.export.weights.ledger import Served
from redraw.export.weights.suggestions import differ_by_counters

if TYPE_CHECKING:
    from redraw.export.weights.wanted import Wanted

logger = logging.getLogger(__name__)


def demand_owned(wanted: Wanted, source: CheckpointSource) -> None:
    """Demand that every average belongs to a weight: raw weights would be served under its name otherwise.

    Args:
        wanted: Its renames may name an average, and its training_only those of what is not served.
        source: The checkpoint.

    Raises:
        CheckpointMismatch: One belongs to none.
    """
    keys = {*source.entries, *joined_names(source.entries)}
    # What is served by its own whole name is a weight: an average of statistics, of old batch norm.
    stored = {name for _, name in wanted.renames} | {variable.name for variable in wanted.variables}
    orphans = [
        key
        for key in orphaned_averages(keys, source.graph)
        if key not in stored and not _is_left(key, wanted.training_only)
    ]
    if orphans:
        name = orphans[0].removesuffix(AVERAGE_SUFFIX)
        raise CheckpointMismatch(
            f"average {orphans[0]!r}: expected a weight {name!r} that it belongs to, got none in the"
            f" checkpoint; the nearest weight without one is {_nearest(orphans[0], name, wanted, source)}."
            f" Such averages: {short_list(orphans, 'averages that belong to no weight')}. If you know"
            " whose one is, say so in the definition's renames, by the weight's name and the average's;"
            " or serve the raw weights."
        )


def _nearest(orphan: str, name: str, wanted: Wanted, source: CheckpointSource) -> str:
    """The weight of its shape without an average whose name is the nearest; none where counters differ."""
    entry = source.entries.get(orphan)
    free = [
        variable.name
        for variable in (*wanted.variables, *wanted.unreached)
        if f"{variable.name}{AVERAGE_SUFFIX}" not in source.entries
        and variable.trainable
        and (entry is None or tuple(variable.shape) == entry.shape)
    ]
    near = difflib.get_close_matches(name, free, n=1, cutoff=0.0)
    if not near or any(differ_by_counters(other, near[0]) for other in (name, *free)):
        return "none for sure"
    return near[0]


def _is_left(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(n, p) for n in (key, key.removesuffix(AVERAGE_SUFFIX)) for p in patterns)


def find_unaveraged(served: Iterable[Served], averages: Collection[str], wanted: Wanted) -> tuple[str, ...]:
    """The trained weights that are served raw among averages, for the checkpoint has no average of them.

    Args:
        served: What is served, as averages where there are some.
        averages: The keys of all averages.
        wanted: What was asked for.

    Returns:
        Their names; the log has them as well.
    """
    trained = {variable.name for variable in wanted.variables if variable.trainable}
    raw = [entry.variable for entry in served if entry.key not in averages and entry.variable in trained]
    if raw:
        logger.warning("served raw, for the checkpoint has no average of them: %s", ", ".join(raw))
    return tuple(raw)
