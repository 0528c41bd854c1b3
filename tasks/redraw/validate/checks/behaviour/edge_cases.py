"""Requests at the edges of a signature, and beyond them."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from redraw.inspect.answers.comparing import is_float
from redraw.records.signature import TensorSpec
from redraw.serving.requests import Request, count_rows, take_rows

_SIZES = (1, 257)  # 257 is a whole number of no vector's width
_MOST_BYTES = 32 << 20  # of one request
_HUGE = 1 << 20
_STRINGS = {
    "an empty string": b"",
    "a string of 1 MiB": b"a" * _HUGE,
    "a string that is no UTF-8": b"\xff\xfe\x00\xc3\x28",
}


class Wanted(enum.Enum):
    """What a good model does with a request."""

    ANSWER = "an answer with a row for each"
    EITHER = "an answer, or an error that blames the request"
    ERROR = "an error"


@dataclass(frozen=True, kw_only=True)
class EdgeCase:
    """One request.

    Attributes:
        name: What is special about it.
        request: Its inputs.
        wanted: What a good model does.
        rows: How many rows an answer has; None where none is wanted.
    """

    name: str
    request: Request
    wanted: Wanted
    rows: int | None = None


def edge_cases(golden: Request, specs: Mapping[str, TensorSpec]) -> Iterator[EdgeCase]:
    """Every edge of one signature."""
    if count_rows(golden) is None:
        return  # inputs without rows in common: what is an edge of theirs, nobody knows
    row = take_rows(golden, [0])
    yield from _batch_sizes(golden)
    for name, value in row.items():
        for what, edge in _contents(value):
            yield EdgeCase(
                name=f"input {name!r} of {what}",
                request={**row, name: edge},
                wanted=Wanted.EITHER,
                rows=1,
            )
        for what, wrong in _misfits(value, specs[name]):
            request = {**row, name: wrong}
            yield EdgeCase(name=f"input {name!r} of {what}", request=request, wanted=Wanted.ERROR)


def _batch_sizes(golden: Request) -> Iterator[EdgeCase]:
    rows = count_rows(golden) or 0
    # Many layers can do nothing with no row at all, and say so.
    yield EdgeCase(name="no row", request=take_rows(golden, []), wanted=Wanted.EITHER, rows=0)
    most = max(1, _MOST_BYTES * rows // max(1, sum(value.nbytes for value in golden.values())))
    for size in sorted({min(size, most) for size in _SIZES}):
        request = take_rows(golden, np.arange(size) % rows)
        yield EdgeCase(name=f"{size} rows", request=request, wanted=Wanted.ANSWER, rows=size)


def _contents(value: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Values of the right dtype and shape, as far out as there are."""
    if value.size == 0:
        return
    if value.dtype == object:
        for what, text in _STRINGS.items():
            edge = value.copy()
            edge.reshape(-1)[0] = text
            yield what, edge
    elif is_float(value.dtype):
        info = ml_dtypes.finfo(value.dtype)
        extremes = {"NaN": np.nan, "infinity": np.inf, "-infinity": -np.inf}
        with np.errstate(all="ignore"):  # not every dtype has all of them
            for what, number in {**extremes, "the largest": info.max, "the lowest": info.min}.items():
                yield what, np.full(value.shape, number).astype(value.dtype)
    elif value.dtype.kind in "iu":
        limits = np.iinfo(value.dtype)
        yield "the lowest", np.full(value.shape, limits.min, value.dtype)
        yield "the highest", np.full(value.shape, limits.max, value.dtype)


def _misfits(value: np.ndarray, spec: TensorSpec) -> Iterator[tuple[str, np.ndarray]]:
    """Values that the signature does not admit."""
    for name, other, filler in (("float32", "f4", 0), ("int32", "i4", 0), ("string", "O", b"")):
        if np.dtype(other) != value.dtype:
            yield f"dtype {name}", np.full(value.shape, filler, other)
    yield "one dimension more", value[..., None]
    yield "one dimension fewer", value[0]
    if any(size is not None for size in spec.shape[1:]):
        for what, change in (("larger", lambda size: size + 1), ("empty", lambda _: 0)):
            sizes = [have if size is None else change(size) for have, size in _dimensions(value, spec)]
            shape = (1, *sizes)
            filled = np.resize(value, shape) if value.size else np.zeros(shape, value.dtype)
            yield f"{what} dimensions, {list(shape)},", filled


def _dimensions(value: np.ndarray, spec: TensorSpec) -> Iterator[tuple[int, int | None]]:
    """Each dimension but the batch: its size in a value, and in the signature."""
    return zip(value.shape[1:], spec.shape[1:], strict=True)
