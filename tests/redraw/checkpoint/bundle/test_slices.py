from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.slices import check_cover

Box = tuple[tuple[int, ...], tuple[int, ...]]


def box(size: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.integers(0, size - 1).flatmap(
        lambda start: st.tuples(st.just(start), st.integers(1, size - start))
    )


@st.composite
def coverings(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Box]]:
    """Boxes that cut a tensor in halves again and again, some of them then replaced by others."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    boxes: list[Box] = [((0,) * len(shape), shape)]
    for _ in range(draw(st.integers(0, 5))):
        starts, lengths = boxes.pop(draw(st.integers(0, len(boxes) - 1)))
        axis = draw(st.integers(0, len(shape) - 1))
        cut = draw(st.integers(0, lengths[axis]))
        for start, length in ((0, cut), (cut, lengths[axis] - cut)):
            if length:
                at = starts[axis] + start
                boxes.append(
                    (
                        (*starts[:axis], at, *starts[axis + 1 :]),
                        (*lengths[:axis], length, *lengths[axis + 1 :]),
                    )
                )
    if draw(st.booleans()):
        pairs = draw(st.tuples(*(box(size) for size in shape)))
        boxes[draw(st.integers(0, len(boxes) - 1))] = (
            tuple(start for start, _ in pairs),
            tuple(length for _, length in pairs),
        )
    return shape, boxes


@given(covering=coverings())
def test_check_cover_agrees_with_counting_every_element(covering: tuple[tuple[int, ...], list[Box]]) -> None:
    shape, boxes = covering
    counts = np.zeros(shape, int)
    for starts, lengths in boxes:
        counts[tuple(slice(a, a + n) for a, n in zip(starts, lengths, strict=True))] += 1
    if (counts == 1).all():
        check_cover(shape, boxes)
    else:
        with pytest.raises(MalformedError, match="slices"):
            check_cover(shape, boxes)


def test_check_cover_of_many_partitioned_axes_is_refused_at_once() -> None:
    boxes = [
        (starts, (1,) * 9 + (1,) * 51) for starts in itertools.islice(itertools.product((0, 1), repeat=60), 4)
    ]
    with pytest.raises(MalformedError, match="slices of 1152921504606846976 elements"):
        check_cover((2,) * 60, boxes)
    with pytest.raises(MalformedError, match="at most 8 partitioned dimensions"):
        check_cover((2,) * 9, [(starts, (1,) * 9) for starts in itertools.product((0, 1), repeat=9)])
    check_cover((2,) * 8, [(starts, (1,) * 8) for starts in itertools.product((0, 1), repeat=8)])
