"""One run of a session, with every tensor given back to TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import c_void_p

import numpy as np

from redraw.serving.library import Endpoint, Status, tensorflow_library
from redraw.serving.tensors import write_tensor


@contextmanager
def written_tensors(arrays: Iterable[np.ndarray]) -> Iterator[Sequence[int]]:
    """Arrays as tensors, for the length of a `with`.

    Raises:
        StatusError: No request can carry such values.
    """
    tensors: list[int] = []
    try:
        tensors.extend(write_tensor(array) for array in arrays)
        yield tensors
    finally:
        for tensor in tensors:
            tensorflow_library().TF_DeleteTensor(tensor)


@contextmanager
def fetched_tensors(
    session: int,
    feeds: Sequence[Endpoint],
    given: Sequence[int],
    fetches: Sequence[Endpoint],
    targets: Sequence[int] = (),
) -> Iterator[Sequence[int]]:
    """What a session answers, as tensors, for the length of a `with`.

    Args:
        session: A `TF_Session`.
        feeds: Where values go in.
        given: The tensors that go in there, in the same order.
        fetches: Where answers come out.
        targets: Operations that run as well.

    Raises:
        StatusError: The model refuses the values.
    """
    library, answers = tensorflow_library(), (c_void_p * len(fetches))()
    with Status() as status:
        library.TF_SessionRun(
            *(session, None),
            *((Endpoint * len(feeds))(*feeds), (c_void_p * len(given))(*given), len(feeds)),
            *((Endpoint * len(fetches))(*fetches), answers, len(fetches)),
            *((c_void_p * len(targets))(*targets), len(targets), None, status.pointer),
        )
    try:
        yield [tensor for tensor in answers if tensor is not None]
    finally:
        for tensor in answers:
            library.TF_DeleteTensor(tensor)
