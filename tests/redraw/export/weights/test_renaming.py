from __future__ import annotations

from operator import eq

from redraw.export.weights.renaming import pair_by_name


def test_pair_by_name_of_variables_with_one_name_pairs_them_in_their_order() -> None:
    names = {"0/0": "kernel", "0/1": "bias", "0/2": "kernel", "1/0": "kernel"}
    saved = {"0/0": "kernel", "0/1": "kernel", "0/2": "bias", "1/0": "kernel"}
    assert pair_by_name(names, saved, eq) == {"0/0": "0/0", "0/1": "0/2", "0/2": "0/1", "1/0": "1/0"}


def test_pair_by_name_of_another_number_of_variables_with_one_name_pairs_none_of_them() -> None:
    names = {"0/0": "kernel", "0/1": "bias", "0/2": "kernel"}
    saved = {"0/0": "kernel", "0/1": "bias"}
    assert pair_by_name(names, saved, eq) == {"0/1": "0/1"}
