from __future__ import annotations

import re
from operator import eq

import pytest

from redraw.export.weights.renaming import (
    counted_alike,
    of_same_layer,
    of_same_name,
    pair_by_name,
    rename,
    split_counters,
)


def test_rename_takes_the_first_pair_that_is_the_whole_name() -> None:
    renames = (
        ("a/kernel", "first"),
        (re.compile("a/(kern)"), r"part/\1"),
        (re.compile("a/(.*)"), r"rest/\1"),
        ("a/kernel", "second"),
        ("a/bias", "never"),
    )
    assert [rename(name, renames) for name in ("a/kernel", "a/kern", "a/bias", "b/a/kernel", "a")] == [
        "first",
        "part/kern",
        "rest/bias",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("name", "saved_name", "same"),
    [
        ("dense_3/kernel", "dense/kernel", True),
        ("dense/kernel_1", "dense_12/kernel", True),
        ("dense/kernel", "dense/bias", False),
        ("dense/kernel", "conv/kernel", False),
        ("kernel", "net/dense/kernel", True),
        ("net/dense/kernel", "dense/kernel", True),
        ("in_time/kernel", "in_time/dense/kernel", True),
        ("net/dense/kernel", "dense/net/kernel", False),
        ("net/inner/kernel", "inner/other/kernel", False),
        ("dense/kernel", "net/block/other/kernel", False),
        ("conv/depthwise_kernel", "conv/kernel", True),
        ("depthwise_kernel/bias", "kernel/bias", False),
        ("backward_lstm_2/kernel", "lstm/kernel", True),
        ("lstm_backward_/kernel", "lstm_/kernel", False),
    ],
)
def test_of_same_name_leaves_out_counters_and_layers_of_one_side(
    name: str, saved_name: str, same: bool
) -> None:
    assert of_same_name(name, saved_name) == of_same_name(saved_name, name) == same


@pytest.mark.parametrize(
    ("name", "saved_name", "same"),
    [
        ("kernel", "hidden/0", True),
        ("hidden/kernel", "hidden/0", True),
        ("net/hidden_2/kernel", "hidden/1", True),
        ("hidden/inner/kernel", "hidden/0", False),
        ("net/other/kernel", "hidden/0", False),
        ("net/other/kernel", "vars/0", True),
        ("vars/kernel", "hidden/0", False),
    ],
)
def test_of_same_layer_compares_the_last_layer_but_for_files_without_names(
    name: str, saved_name: str, same: bool
) -> None:
    assert of_same_layer(name, saved_name) == same


def test_split_counters_gives_the_counter_of_each_part() -> None:
    assert split_counters("net_3/dense/kernel_12") == ("net/dense/kernel", [3, 0, 12])
    assert split_counters("conv2_d1") == ("conv2_d1", [0])


@pytest.mark.parametrize(
    ("pairs", "alike"),
    [
        ({"dense/k": "dense_4/k", "dense_1/k": "dense_5/k"}, True),
        ({"dense_1/k": "dense_5/k", "dense/k": "dense_4/k"}, True),
        ({"dense/k": "dense_5/k", "dense_1/k": "dense_4/k"}, False),
        ({"dense_9/k": "dense_1/k", "dense_10/k": "dense_2/k"}, True),
        # Each kind has its own counters.
        ({"dense/k": "dense_5/k", "conv_1/k": "conv_4/k"}, True),
        ({"dense/k": "dense_5/k", "conv/k": "conv_5/k", "conv_1/k": "conv_4/k"}, False),
        # Only one side has the parents in its names.
        ({"net_1/dense/k": "dense/k", "net/dense_1/k": "dense_1/k"}, True),
        ({"dense/k": "net_1/dense/k", "dense_1/k": "net/dense_1/k"}, True),
        ({"net_1/dense/k": "net_8/dense/k", "net/dense_1/k": "net_9/dense_1/k"}, False),
        ({}, True),
    ],
)
def test_counted_alike_is_whether_each_kind_of_layer_came_in_one_order(
    pairs: dict[str, str], alike: bool
) -> None:
    assert counted_alike(pairs.items()) == alike


def test_pair_by_name_of_variables_with_one_name_pairs_them_in_their_order() -> None:
    names = {"0/0": "kernel", "0/1": "bias", "0/2": "kernel", "1/0": "kernel"}
    saved = {"0/0": "kernel", "0/1": "kernel", "0/2": "bias", "1/0": "kernel"}
    assert pair_by_name(names, saved, eq) == {"0/0": "0/0", "0/1": "0/2", "0/2": "0/1", "1/0": "1/0"}


def test_pair_by_name_of_another_number_of_variables_with_one_name_pairs_none_of_them() -> None:
    names = {"0/0": "kernel", "0/1": "bias", "0/2": "kernel"}
    saved = {"0/0": "kernel", "0/1": "bias"}
    assert pair_by_name(names, saved, eq) == {"0/1": "0/1"}


def test_pair_by_name_of_names_that_agree_with_several_pairs_the_whole_group_in_order() -> None:
    """Letters agree with all texts that have one of them; places are numbers, of which 10 is after 9."""
    names = {"0/2": "a", "0/9": "b", "0/10": "ab", "0/11": "x"}
    saved = {"0/2": "ab", "0/9": "x", "0/10": "b", "0/11": "a"}

    def agree(name: str, saved_name: str) -> bool:
        return bool({*name} & {*saved_name})

    assert pair_by_name(names, saved, agree) == {
        "0/2": "0/2",
        "0/9": "0/10",
        "0/10": "0/11",
        "0/11": "0/9",
    }
