from __future__ import annotations

import pytest

from redraw.checkpoint.catalogue.count import Count, count_checkpoints
from redraw.errors import InvalidName
from redraw.names import ModelName
from redraw.storage.opening import Storage, open_storage


@pytest.fixture
def catalogue(bucket: str) -> Storage:
    storage = open_storage(bucket)
    for step in range(4):
        for name in ("record.json", "weights.index"):
            storage.create(f"mnist/{step}-ab/{name}", b"{}")
    # The files of one that is being added, and of another model whose name begins alike.
    storage.create("mnist/9-ab/weights.index", b"{}")
    storage.create("mnist_2/1-ab/record.json", b"{}")
    return storage


def test_count_checkpoints_counts_those_that_have_a_record(catalogue: Storage) -> None:
    assert count_checkpoints(catalogue, "mnist") == Count(found=4, complete=True)
    assert count_checkpoints(catalogue, "nosuch") == Count(found=0, complete=True)


def test_count_checkpoints_beyond_the_bound_says_that_there_are_more(catalogue: Storage) -> None:
    assert count_checkpoints(catalogue, "mnist", bound=4) == Count(found=2, complete=False)
    assert count_checkpoints(catalogue, "mnist", bound=9) == Count(found=4, complete=True)


def test_count_checkpoints_of_an_odd_name_is_refused(catalogue: Storage) -> None:
    with pytest.raises(InvalidName):
        count_checkpoints(catalogue, ModelName("../mnist"))
