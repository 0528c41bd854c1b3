"""Send the same requests to two loaded versions in parallel, while the next requests are read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

from redraw.inspect.answers.batches import RequestBatch
from redraw.inspect.answers.record_parts import Problems
from redraw.serving import LoadedModel
from redraw.serving.errors import ServingFailure

# Limits of a batch; it grows if its answers take less than _QUICK seconds, and shrinks above _SLOW seconds.
_FIRST_ROWS, _MOST_ROWS, _MOST_BYTES = 256, 4096, 16 << 20
_QUICK, _SLOW = 0.2, 1.0
_AHEAD = 2
# Halving its batch finds a refused row. With more refused rows than this number and this share of the
# answered rows, complete batches are left out: a log that does not fit would have too many.
_MOST_FOUND, _FOUND_SHARE = 20, 0.1


class AnsweredBatch(NamedTuple):
    """A request, and what each version answered."""

    batch: RequestBatch
    here: Mapping[str, np.ndarray]
    other: Mapping[str, np.ndarray]


_Answer = Mapping[str, np.ndarray] | ServingFailure
_Pending = tuple[RequestBatch, list[Future[_Answer]]]


class VersionPair:
    """Two versions that get the same requests.

    Args:
        here: The first version, loaded.
        other: The other version, loaded.
        names: Their names in messages.
        problems: Collects refused requests.

    Attributes:
        refused: The number of rows that each of them refused; if there are many, with the rest of their
            batches.
    """

    def __init__(
        self, here: LoadedModel, other: LoadedModel, names: tuple[str, str], problems: Problems
    ) -> None:
        self._models, self._names, self._problems = (here, other), names, problems
        self._rows, self._answered = _FIRST_ROWS, 0
        self.refused = [0, 0]

    def rows(self) -> int:
        """The number of rows of the next batch: as many as are answered within a second."""
        return self._rows

    def ask(self, batches: Iterable[RequestBatch]) -> Iterator[AnsweredBatch]:
        """Send each request to both versions; rows that one refuses are counted and left out."""
        with ExitStack() as stack:
            # A model answers one request at a time, so each has one thread.
            pools = [ThreadPoolExecutor(1) for _ in self._models]
            for pool in pools:
                stack.callback(pool.shutdown, cancel_futures=True)

            def submit(batch: RequestBatch) -> _Pending:
                pairs = zip(pools, self._models, strict=True)
                return batch, [pool.submit(self._answer, model, batch) for pool, model in pairs]

            waiting = deque[_Pending]()
            for batch in batches:
                waiting.append(submit(batch))
                if len(waiting) > _AHEAD:
                    yield from self._compare(waiting.popleft(), submit)
            while waiting:
                yield from self._compare(waiting.popleft(), submit)

    def _answer(self, model: LoadedModel, batch: RequestBatch) -> _Answer:
        started = time.monotonic()
        try:
            return model.answer(batch.signature, batch.inputs)
        except ServingFailure as err:
            return err
        finally:
            self._pace(batch, time.monotonic() - started)

    def _pace(self, batch: RequestBatch, seconds: float) -> None:
        size = max(sum(value.nbytes for value in batch.inputs.values()), 1)
        most = max(1, min(_MOST_ROWS, _MOST_BYTES * batch.rows // size))
        if seconds > _SLOW:
            self._rows = max(1, batch.rows // 2)
        elif seconds < _QUICK:
            self._rows = max(self._rows, batch.rows * 2)
        self._rows = min(self._rows, most)

    def _compare(
        self, pending: _Pending, submit: Callable[[RequestBatch], _Pending]
    ) -> Iterator[AnsweredBatch]:
        batch, (here, other) = pending[0], [future.result() for future in pending[1]]
        if not isinstance(here, ServingFailure) and not isinstance(other, ServingFailure):
            self._answered += batch.rows
            yield AnsweredBatch(batch, here, other)
        elif batch.rows == 1 or max(self.refused) > _MOST_FOUND + _FOUND_SHARE * self._answered:
            self._refuse(batch, (here, other))
        else:
            middle = batch.rows // 2
            for half in (batch.part(0, middle), batch.part(middle, batch.rows)):
                yield from self._compare(submit(half), submit)

    def _refuse(self, batch: RequestBatch, answers: tuple[_Answer, _Answer]) -> None:
        more = f" and {batch.rows - 1} rows of the same request" if batch.rows > 1 else ""
        for place, answer in enumerate(answers):
            if isinstance(answer, ServingFailure):
                self.refused[place] += batch.rows
                self._problems.add(f"{self._names[place]} refuses {batch.row_name(0)}{more}: {answer}")
