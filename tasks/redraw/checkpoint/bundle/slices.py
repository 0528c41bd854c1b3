"""Whether the slices of a partitioned tensor make up the whole, each element once."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

from redraw.checkpoint.bundle.encoding import MalformedError

_Box = tuple[tuple[int, ...], tuple[int, ...]]
# TensorFlow partitions along one axis, DTensor along one for each mesh dimension.
_MOST_PARTITIONED_AXES = 8


class Uncovered(MalformedError):
    """Slices have fewer elements than the tensor."""


def check_cover(shape: Sequence[int], boxes: Sequence[_Box]) -> None:
    """Check that boxes tile a tensor, in time linear in their number.

    Args:
        shape: The tensor's dimensions.
        boxes: The start and the length of each slice in every dimension.

    Raises:
        Uncovered: They have fewer elements than the tensor.
        MalformedError: A slice reaches beyond the tensor, or an element is in none or in more
            than one.
    """
    for starts, lengths in boxes:
        for start, length, size in zip(starts, lengths, shape, strict=True):
            if start < 0 or length < 0 or start + length > size:
                raise MalformedError(f"slices within {list(shape)}", f"{length} from {start} on")
    total, covered = math.prod(shape), sum(math.prod(lengths) for _, lengths in boxes)
    if covered < total:
        raise Uncovered(f"slices of {total} elements in all", f"{covered}")
    if covered != total:
        raise MalformedError(f"slices of {total} elements in all", f"{covered}")
    if total and not _corners_cancel(shape, [box for box in boxes if math.prod(box[1])]):
        raise MalformedError("slices that do not overlap", "some that do")


def _corners_cancel(shape: Sequence[int], boxes: Sequence[_Box]) -> bool:
    """Whether every element is in an odd number of boxes.

    Modulo 2 a sum of boxes is known by its corners: those that it has an odd number of
    times. It is the whole tensor just when they are the tensor's own corners. As many
    elements as the tensor has, each in an odd number of boxes, are each in one.
    """
    axes = [axis for axis, size in enumerate(shape) if any(box[1][axis] != size for box in boxes)]
    if len(axes) > _MOST_PARTITIONED_AXES:
        raise MalformedError(f"at most {_MOST_PARTITIONED_AXES} partitioned dimensions", f"{len(axes)}")
    corners: Counter[tuple[int, ...]] = Counter()
    for starts, lengths in boxes:
        corners.update(itertools.product(*((starts[axis], starts[axis] + lengths[axis]) for axis in axes)))
    whole = set(itertools.product(*((0, shape[axis]) for axis in axes)))
    return {corner for corner, times in corners.items() if times % 2} == whole
