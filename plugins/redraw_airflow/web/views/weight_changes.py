"""The differences between two versions' weights, which a worker computes once for each pair.

Versions never change, so the differences can be cached. Requests for the same pair wait for the same worker.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cachetools import LRUCache

from redraw.records.results import VariableDifference, WeightDifferences
from redraw.requests import DifferencesRequest
from redraw_airflow.web.server.workers import run_worker
from redraw_airflow.web.views.pagination import RowPage, cut_page, has_words

_COMMAND = ("-m", "redraw", "differences", "--request", "-")
_SECONDS = 300.0
_MEMORY_BYTES = 1 << 30
_CACHED_PAIRS = 32


class WeightChanges:
    """Computes the differences of pairs, and caches the last ones; for one event loop."""

    def __init__(self) -> None:
        self._cache = LRUCache[DifferencesRequest, WeightDifferences](_CACHED_PAIRS)
        self._tasks: dict[DifferencesRequest, asyncio.Task[WeightDifferences]] = {}

    async def find(self, pair: DifferencesRequest) -> WeightDifferences:
        """The differences of a pair.

        Args:
            pair: The versions, and their bucket.

        Raises:
            WorkersBusy: Too many workers are running.
            RedrawError: The differences cannot be computed; the message says why.
        """
        if pair in self._cache:
            return self._cache[pair]
        if pair not in self._tasks:
            task = self._tasks[pair] = asyncio.create_task(self._compute(pair))
            task.add_done_callback(lambda _: self._tasks.pop(pair, None))
        # If one client disconnects, the others still get the result.
        return await asyncio.shield(self._tasks[pair])

    async def _compute(self, pair: DifferencesRequest) -> WeightDifferences:
        request = json.dumps(pair.to_json(), allow_nan=False).encode()
        answer = await run_worker(_COMMAND, request, seconds=_SECONDS, memory_bytes=_MEMORY_BYTES)
        differences = WeightDifferences.from_text(answer, "the worker's answer")
        self._cache[pair] = differences
        return differences


@dataclass(frozen=True, kw_only=True)
class WeightRow:
    """A variable of both versions.

    Attributes:
        name: Its name in the network; its key in the SavedModel if there is no ledger.
        tensor: Its dtype and shape.
        change: The difference.
        share: Its relative change divided by the largest one: from 0 to 1.
    """

    name: str
    tensor: str
    change: VariableDifference
    share: float


def find_weights(
    differences: WeightDifferences, names: Mapping[str, str], text: str = "", page: int = 1
) -> RowPage[WeightRow]:
    """A page of the variables of a pair, those that changed the most first.

    Args:
        differences: The differences of all variables.
        names: Key in the SavedModel to name in the network.
        text: Words that a row has to contain, in upper or lower case.
        page: The page's number, from 1.
    """
    largest = max((change.relative_change or 0.0 for change in differences.variables), default=0.0)
    rows = [_row(change, names, largest) for change in differences.variables]
    matching = [row for row in rows if has_words(text, row.name, row.change.key, row.tensor)]
    return cut_page(matching, len(rows), page)


def _row(change: VariableDifference, names: Mapping[str, str], largest: float) -> WeightRow:
    return WeightRow(
        name=names.get(change.key, change.key),
        tensor=f"{change.dtype} {list(change.shape)}",
        change=change,
        share=(change.relative_change or 0.0) / largest if largest else 0.0,
    )
