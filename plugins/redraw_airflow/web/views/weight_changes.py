"""How far two versions' weights are apart: worked out once for a pair, by a worker.

Versions never change, so that what was found of a pair stays true; anyone who asks for it while it
is being worked out waits for the same worker.
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
_KEPT_PAIRS = 32


class WeightChanges:
    """Works out pairs, and keeps the last of them; for one event loop."""

    def __init__(self) -> None:
        self._known = LRUCache[DifferencesRequest, WeightDifferences](_KEPT_PAIRS)
        self._asked: dict[DifferencesRequest, asyncio.Task[WeightDifferences]] = {}

    async def find(self, pair: DifferencesRequest) -> WeightDifferences:
        """The differences of a pair.

        Args:
            pair: The versions, and their bucket.

        Raises:
            WorkersBusy: As many workers run as may.
            RedrawError: It cannot be worked out; the message says why.
        """
        if pair in self._known:
            return self._known[pair]
        if pair not in self._asked:
            task = self._asked[pair] = asyncio.create_task(self._work_out(pair))
            task.add_done_callback(lambda _: self._asked.pop(pair, None))
        # A reader who gives up waiting takes it from nobody else.
        return await asyncio.shield(self._asked[pair])

    async def _work_out(self, pair: DifferencesRequest) -> WeightDifferences:
        request = json.dumps(pair.to_json(), allow_nan=False).encode()
        answer = await run_worker(_COMMAND, request, seconds=_SECONDS, memory_bytes=_MEMORY_BYTES)
        found = WeightDifferences.from_text(answer, "the worker's answer")
        self._known[pair] = found
        return found


@dataclass(frozen=True, kw_only=True)
class WeightRow:
    """A variable of both versions.

    Attributes:
        name: What the network calls it; its key in the SavedModel where the ledger is not kept.
        tensor: Its dtype and shape.
        change: As `VariableDifference` has it.
        share: Of the largest relative change of all: from 0 to 1.
    """

    name: str
    tensor: str
    change: VariableDifference
    share: float


def find_weights(
    found: WeightDifferences, names: Mapping[str, str], text: str = "", page: int = 1
) -> RowPage[WeightRow]:
    """Some variables of a pair, those that changed the most first.

    Args:
        found: All of them.
        names: Key in the SavedModel to what the network calls it.
        text: What a row has to hold; upper and lower case are the same.
        page: Which page, from 1.
    """
    largest = max((change.relative_change or 0.0 for change in found.variables), default=0.0)
    rows = [_row(change, names, largest) for change in found.variables]
    fitting = [row for row in rows if has_words(text, row.name, row.change.key, row.tensor)]
    return cut_page(fitting, len(rows), page)


def _row(change: VariableDifference, names: Mapping[str, str], largest: float) -> WeightRow:
    return WeightRow(
        name=names.get(change.key, change.key),
        tensor=f"{change.dtype} {list(change.shape)}",
        change=change,
        share=(change.relative_change or 0.0) / largest if largest else 0.0,
    )
