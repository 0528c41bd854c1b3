"""Does the server survive requests at the edges of a signature, and refuse those beyond them?"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from redraw.inspect.answers.comparing import is_float
from redraw.records import Check
from redraw.records.signature import TensorSpec
from redraw.serving.errors import RequestRefused, ServingFailure
from redraw.serving.requests import Request, count_rows, take_rows
from redraw.validate.outcome import conclude
from redraw.validate.subject.subject import Subject

# Error codes that blame the request. Others (INTERNAL, RESOURCE_EXHAUSTED, …) blame the model. Only the
# model knows which strings are images and which numbers are indices: it may refuse others.
_CLEAN = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION", "DATA_LOSS")
_SIZES = (1, 257)  # 257 is no multiple of any vector's width
_MOST_BYTES = 32 << 20  # of one request
_HUGE = 1 << 20
_STRINGS = {
    "an empty string": b"",
    "a string of 1 MiB": b"a" * _HUGE,
    "a string that is not UTF-8": b"\xff\xfe\x00\xc3\x28",
}


def check_request_edges(subject: Subject) -> Check:
    """Send requests that no golden example covers, one at a time: the check `request-edges`.

    If a request crashes the process, the check fails, and a new process gets the next request.
    """
    signatures, problems, outcomes = subject.definition.signatures, list[str](), Counter[str]()
    for name, golden in subject.golden_requests.items():
        for case in edge_cases(golden, signatures[name].inputs):
            outcome, problem = _ask(subject, name, case)
            outcomes[outcome] += 1
            if problem:
                problems.append(f"signature {name!r}, {case.name}: {problem}")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    return conclude(
        "request-edges",
        looked_at="batches of 0, 1 and 257 rows; empty, huge and malformed strings; NaN, infinity and"
        " the extremes of each dtype; wrong dtypes, ranks and dimensions",
        expected="answers, or errors that blame the request; errors for what does not fit the signature",
        found=f"{counts}, none of them a crash" if counts else "no signature has a batch dimension",
        problems=problems,
        advice="Change serve so that it answers such requests, or refuses them with an error. Redraw's"
        " exports refuse wrong shapes (tf.ensure_shape): if this export does not, export again.",
    )


def _ask(subject: Subject, name: str, case: EdgeCase) -> tuple[str, str]:
    """The outcome of a request, and what is wrong with it."""
    try:
        answer = subject.served.answer(name, case.request)
    except RequestRefused as err:
        right = case.expected is Outcome.ERROR or (case.expected is Outcome.EITHER and err.code in _CLEAN)
        return "refused", "" if right else f"expected {case.expected.value}, got {err}"
    except ServingFailure as err:
        return "died", str(err)
    return "answered", _problem_of(case, answer)


def _problem_of(case: EdgeCase, answer: dict[str, np.ndarray]) -> str:
    if case.expected is Outcome.ERROR:
        shapes = ", ".join(f"{output} {list(values.shape)}" for output, values in answer.items())
        return f"expected an error, got an answer: {shapes}"
    for output, values in answer.items():
        if values.ndim == 0 or len(values) != case.rows:
            return f"expected {case.rows} rows in {output!r}, got shape {list(values.shape)}"
        if case.expected is Outcome.ANSWER and is_float(values.dtype) and np.isnan(values).any():
            return f"expected numbers in {output!r}, got NaN"
    return ""


class Outcome(enum.Enum):
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
        expected: What a good model does.
        rows: The number of rows of an answer; None if no answer is expected.
    """

    name: str
    request: Request
    expected: Outcome
    rows: int | None = None


def edge_cases(golden: Request, specs: Mapping[str, TensorSpec]) -> Iterator[EdgeCase]:
    """Every edge of one signature."""
    if count_rows(golden) is None:
        return  # inputs without common rows have no edges that are known here
    row = take_rows(golden, [0])
    yield from _batch_sizes(golden)
    for name, value in row.items():
        for what, edge in _contents(value):
            yield EdgeCase(
                name=f"input {name!r} of {what}",
                request={**row, name: edge},
                expected=Outcome.EITHER,
                rows=1,
            )
        for what, wrong in _misfits(value, specs[name]):
            request = {**row, name: wrong}
            yield EdgeCase(name=f"input {name!r} of {what}", request=request, expected=Outcome.ERROR)


def _batch_sizes(golden: Request) -> Iterator[EdgeCase]:
    rows = count_rows(golden) or 0
    # Many layers refuse an empty batch.
    yield EdgeCase(name="no row", request=take_rows(golden, []), expected=Outcome.EITHER, rows=0)
    most = max(1, _MOST_BYTES * rows // max(1, sum(value.nbytes for value in golden.values())))
    for size in sorted({min(size, most) for size in _SIZES}):
        request = take_rows(golden, np.arange(size) % rows)
        yield EdgeCase(name=f"{size} rows", request=request, expected=Outcome.ANSWER, rows=size)


def _contents(value: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Extreme values of the right dtype and shape."""
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
