"""Recognize what a piece with random numbers does, by running it with chosen numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.recorded.graph import Graph
from redraw.recorded.operations import CHANCE, FLOATS
from redraw.recorded.running import CannotBeRun, Piece, known_value

# The least number of random numbers: a share is exact to about one in that many.
_FEWEST = 512
_MOST_ELEMENTS = 1 << 18
_UNKNOWN = 64
_RATES = (0.7, 0.4)
_TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2}


def recognize(
    graph: Graph, chance: str, start: str, product: str, rates: list[str], *, noise: bool
) -> tuple[str, str] | None:
    """Recognize dropout, or noise.

    Args:
        graph: The graph.
        chance: The random operation.
        start: The data.
        product: The result computed from both.
        rates: Scalars that it needs and that have no value yet.
        noise: Whether to test for noise, which fewer graphs have, or for dropout.

    Returns:
        Its kind and the evidence; None for anything else.
    """
    if graph.dtype(start) % 100 not in FLOATS:
        return None
    try:
        trial = _Trial(graph, chance, start, product, rates)
        names = [_name(trial, rate, noise=noise) for rate in (_RATES if rates else _RATES[:1])]
    except CannotBeRun:
        return None
    first = names[0]
    if first is None or any(name is None or name[0] != first[0] for name in names):
        return None
    return first if not rates else (first[0], f"run with several rates: {first[1]}")


class _Trial:
    """The piece, ready to run."""

    def __init__(self, graph: Graph, chance: str, start: str, product: str, rates: list[str]) -> None:
        self._start, self._chance, self._rates = start, f"{chance}:0", rates
        self.kind = CHANCE[graph.nodes[chance].op]
        self.dtype = tf.as_dtype(graph.dtype(start)).as_numpy_dtype
        self._number = tf.as_dtype(graph.dtype(self._chance)).as_numpy_dtype
        self.tolerance = _TOLERANCE.get(tf.as_dtype(graph.dtype(start)).name, 1e-4)
        shape = graph.data_inputs(chance)[_shape_input(graph.nodes[chance].op)]
        try:
            self._shape_piece: Piece | None = Piece(graph, [shape], [start, *rates])
        except CannotBeRun:
            # A mask for several tensors has the shape of another tensor; assume the data's.
            self._shape_piece = None
        self._piece = Piece(graph, [product], [start, self._chance, *rates])
        self.shape = _sizes(graph.shapes.get(start), known_value(graph, shape))

    def data(self, seed: int) -> np.ndarray:
        """Values between 1 and 2 or their negatives, so that none is 0."""
        rng = np.random.default_rng(seed)
        return (rng.uniform(1, 2, self.shape) * rng.choice([-1, 1], self.shape)).astype(self.dtype)

    def mask_shape(self, x: np.ndarray, rate: float) -> tuple[int, ...]:
        """The shape of the random numbers."""
        if self._shape_piece is None:
            return x.shape
        (shape,) = self._shape_piece.run({self._start: x, **dict.fromkeys(self._rates, rate)})
        return tuple(int(size) for size in np.atleast_1d(shape))

    def run(self, x: np.ndarray, numbers: np.ndarray, rate: float) -> np.ndarray:
        """The piece's result, in double precision."""
        feeds = {
            self._start: x,
            self._chance: numbers.astype(self._number),
            **dict.fromkeys(self._rates, rate),
        }
        (answer,) = self._piece.run(feeds)
        if answer.shape != x.shape:
            raise CannotBeRun(f"it changes the shape {x.shape} to {answer.shape}")
        return np.asarray(answer, np.float64)


def _shape_input(op: str) -> int:
    return 2 if op in ("StatefulUniform", "StatefulStandardNormalV2") else 0


def _sizes(data_shape: tuple[int | None, ...] | None, mask_shape: np.ndarray | None) -> list[int]:
    """A shape to try: unknown sizes of the data may come from the shape of the random numbers."""
    numbers = [int(size) for size in np.atleast_1d(mask_shape)] if mask_shape is not None else []
    shape = list(data_shape) if data_shape is not None else [None] * (len(numbers) or 2)
    if len(numbers) == len(shape):
        shape = [
            size or (number if number > 1 else None) for size, number in zip(shape, numbers, strict=True)
        ]
    rest = math.prod(size for size in shape if size)
    free = sum(not size for size in shape)
    most = max(2, min(_UNKNOWN, int((_MOST_ELEMENTS / max(rest, 1)) ** (1 / max(free, 1)))))
    return [size or most for size in shape]


def _name(trial: _Trial, rate: float, *, noise: bool) -> tuple[str, str] | None:
    if not noise:
        return _dropout(trial, rate) if trial.kind == "uniform" else None
    still = {"uniform": 0.5, "normal": 0.0}.get(trial.kind)
    return None if still is None else _noise(trial, rate, still)


def _dropout(trial: _Trial, rate: float) -> tuple[str, str] | None:
    x = trial.data(1)
    shape = trial.mask_shape(x, rate)
    count = math.prod(shape)
    if not count:
        return None
    times = -(-_FEWEST // count)
    # Spread evenly over [0, 1), so that the share of kept values is exact to one of them.
    numbers = np.random.default_rng(2).permutation((np.arange(count * times) + 0.5) / (count * times))
    answers = [trial.run(x, part.reshape(shape), rate) for part in np.split(numbers, times)]
    answer, data = np.stack(answers), np.broadcast_to(np.asarray(x, np.float64), (times, *x.shape))
    slack = 1.5 / (count * times) + trial.tolerance
    return _plain_dropout(answer, data, slack, trial.tolerance) or _alpha_dropout(
        answer, data, slack, trial.tolerance
    )


def _plain_dropout(y: np.ndarray, x: np.ndarray, slack: float, tolerance: float) -> tuple[str, str] | None:
    nonzero = y != 0
    if not nonzero.any():
        return None
    ratios = y[nonzero] / x[nonzero]
    keep, share = 1 / ratios.mean(), nonzero.mean()
    if np.ptp(ratios) > tolerance * 10 or abs(keep - share) > slack:
        return None
    return "dropout", f"of {y.size} answers {share:.3f} are x / {keep:.4g}, the others 0"


def _alpha_dropout(y: np.ndarray, x: np.ndarray, slack: float, tolerance: float) -> tuple[str, str] | None:
    """Whether dropped values are a constant and the others a * x + b, with a and b given by the share."""
    values, counts = np.unique(np.round(y, 5), return_counts=True)
    constant = values[counts.argmax()]
    unchanged = np.abs(y - constant) > 1e-4
    if counts.max() < 3 or unchanged.all() or not unchanged.any():
        return None
    scale, offset = np.polyfit(x[unchanged], y[unchanged], 1)
    if np.abs(scale * x[unchanged] + offset - y[unchanged]).max() > tolerance * 10 or scale <= 0:
        return None
    share, dropped = unchanged.mean(), (constant - offset) / scale
    expected = (share * (1 + (1 - share) * dropped**2)) ** -0.5
    bound = slack * 10
    if abs(scale - expected) > bound or abs(offset + scale * (1 - share) * dropped) > bound:
        return None
    return (
        "alpha dropout",
        f"{share:.3f} of the answers are {scale:.4g} x {offset:+.4g}, the others {constant:.4g}",
    )


def _noise(trial: _Trial, rate: float, still: float) -> tuple[str, str] | None:
    """Whether the result is x plus (or x times one plus) a fixed multiple of the random numbers."""
    x, other = trial.data(1), trial.data(3)
    shape = trial.mask_shape(x, rate)
    silent = np.full(shape, still)
    if any(
        np.abs(trial.run(v, silent, rate) - np.asarray(v, np.float64)).max() > trial.tolerance
        for v in (x, other)
    ):
        return None
    moved = np.random.default_rng(4).uniform(0.1, 0.4, shape)
    for kind, weigh in (("Gaussian noise", np.ones_like), ("Gaussian dropout", np.asarray)):
        shares: list[Any] = []
        for v in (x, other):
            change = trial.run(v, silent + moved, rate) - np.asarray(v, np.float64)
            shares.append(change / (moved * np.asarray(weigh(v), np.float64)))
        spread = np.ptp(np.stack(shares))
        size = abs(float(np.mean(shares)))
        if size > trial.tolerance and spread <= 20 * trial.tolerance * max(size, 1):
            return (
                kind,
                f"the answer differs from x by {size:.4g} times the random numbers",
            )
    return None
