"""Check that the slices of a partitioned tensor cover each of its elements once."""

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
                raise MalformedError(
                    f"slices within {list(shape)}", f"a slice of length {length} that starts at {start}"
                )
    total, covered = math.prod(shape), sum(math.prod(lengths) for _, lengths in boxes)
    if covered < total:
        raise Uncovered(f"slices of {total} elements in all", f"{covered}")
    if covered != total:
        raise MalformedError(f"slices of {total} elements in all", f"{covered}")
    if total and not _corners_cancel(shape, [box for box in boxes if math.prod(box[1])]):
        raise MalformedError("slices that do not overlap", "slices that overlap")


def _corners_cancel(shape: Sequence[int], boxes: Sequence[_Box]) -> bool:
    """Whether every element is in an odd number of boxes.

    Modulo 2, the corners that occur an odd number of times determine a sum of boxes. The
    sum is the whole tensor exactly if they are the tensor's own corners. If the boxes then
    have as many elements as the tensor, each element is in exactly one box.
    """
    axes = [axis for axis, size in enumerate(shape) if any(box[1][axis] != size for box in boxes)]
    if len(axes) > _MOST_PARTITIONED_AXES:
        raise MalformedError(f"at most {_MOST_PARTITIONED_AXES} partitioned dimensions", f"{len(axes)}")
    corners: Counter[tuple[int, ...]] = Counter()
    for starts, lengths in boxes:
        corners.update(itertools.product(*((starts[axis], starts[axis] + lengths[axis]) for axis in axes)))
    tensor_corners = set(itertools.product(*((0, shape[axis]) for axis in axes)))
    return {corner for corner, times in corners.items() if times % 2} == tensor_corners
