"""Averages that no weight is named for, and weights that have none."""

from __future__ import annotations

import difflib
import fnmatch
import logging
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from redraw.checkpoint.formats.parts import names_of_wholes
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.objects.averages import AVERAGE_SUFFIX, orphaned_averages
from redraw.errors import CheckpointMismatch, short_list
from redraw.export.weights.ledger import Served

if TYPE_CHECKING:
    from redraw.export.weights.wanted import Wanted

__all__ = ["demand_owned", "find_unaveraged"]

logger = logging.getLogger(__name__)


def demand_owned(wanted: Wanted, source: CheckpointSource) -> None:
    """Demand that every average belongs to a weight: raw weights would be served under its name otherwise.

    Args:
        wanted: Its renames may name an average, and its training_only those of what is not served.
        source: The checkpoint.

    Raises:
        CheckpointMismatch: One belongs to none.
    """
    keys = {*source.entries, *names_of_wholes(source.entries)}
    stored = {name for _, name in wanted.renames}
    orphans = [
        key
        for key in orphaned_averages(keys, source.graph)
        if key not in stored and not _is_left(key, wanted.training_only)
    ]
    if orphans:
        name = orphans[0].removesuffix(AVERAGE_SUFFIX)
        names = [variable.name for variable in (*wanted.variables, *wanted.unreached)]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        raise CheckpointMismatch(
            f"average {orphans[0]!r}: expected a weight {name!r} that it belongs to, got none in the"
            f" checkpoint; the nearest weight is {near[0] if near else 'none'}. Such averages:"
            f" {short_list(orphans, 'averages that belong to no weight')}. If you know"
            " whose one is, say so in the definition's renames, by the weight's name and the average's;"
            " or serve the raw weights."
        )


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
