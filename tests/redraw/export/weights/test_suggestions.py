"""What is said of variables that a checkpoint does not have, and which renames are proposed."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from redraw.checkpoint.bundle.entries import TensorEntry
from redraw.checkpoint.objects.trackable import ObjectGraph
from redraw.export.weights.suggestions import describe_left_out, describe_missing, differ_by_counters
from tests.redraw.checkpoint.objects.trees import graph_of, variable

if TYPE_CHECKING:
    from redraw.checkpoint.formats.source import CheckpointSource


@dataclass(frozen=True)
class Wanted:
    name: str
    shape: tuple[int, ...] = (2,)
    dtype: str = "float32"


def free(**names: tuple[tuple[int, ...], str]) -> dict[str, TensorEntry]:
    """Tensors of a checkpoint, `__` for each slash of their names."""
    return {
        name.replace("__", "/"): TensorEntry(
            key=name, dtype=dtype, shape=shape, shard=0, offset=0, size=0, crc32c=0
        )
        for name, (shape, dtype) in names.items()
    }


@pytest.mark.parametrize(
    ("name", "other", "counted"),
    [
        ("dense/kernel", "dense_1/kernel", True),
        ("dense_2/kernel", "dense/kernel", True),
        ("dense_1/kernel", "dense_1/bias", False),
        ("hidden/kernel", "features/kernel", False),
        ("layer1/kernel", "layer2/kernel", False),
    ],
)
def test_differ_by_counters_looks_only_at_the_parts_that_differ(name: str, other: str, counted: bool) -> None:
    assert differ_by_counters(name, other) == differ_by_counters(other, name) == counted


def test_describe_missing_proposes_each_rename_that_can_be_no_other() -> None:
    missing = [
        Wanted("net/hidden/kernel", (3, 2)),
        Wanted("net/hidden/bias"),
        Wanted("net/norm/scale", dtype="float16"),
        Wanted("net/dense_1/gamma"),
        Wanted("net/left/beta"),
        Wanted("net/right/beta"),
    ]
    tensors = free(
        net__features__kernel=((3, 2), "float32"),
        net__features__offset=((2,), "float32"),
        net__other__scale=((2,), "float32"),
        net__dense__gamma=((2,), "float32"),
        net__middle__beta=((2,), "float32"),
        net__wide__kernel=((2, 3), "float32"),
    )
    message = describe_missing(missing, tensors)
    assert message.startswith(
        "served variable 'net/hidden/kernel': expected its value in the checkpoint, got none; the nearest"
        " names are net/wide/kernel, net/features/kernel, "
    )
    assert message.endswith(
        ", and 5 more served variables have no value. If these are the same weights, set in the definition:"
        " renames = (('net/hidden/kernel', 'net/features/kernel'),)."
    )


def test_describe_missing_of_one_that_resembles_nothing_says_so() -> None:
    assert describe_missing([Wanted("a/kernel")], free(zzzzzzzzzzzz=((2,), "float32"))) == (
        "served variable 'a/kernel': expected its value in the checkpoint, got none; the nearest names are"
        " none. Give the layer the name that it had in training, or set renames in the definition."
    )


KERAS_3 = graph_of({"_operations": {"0": {"_kernel": variable("w", "dense/kernel")}}})
KERAS_2 = graph_of({"layer_with_weights-0": {"kernel": variable("w", "dense/kernel")}})
UNNAMED = graph_of({"layers": {"0": variable("w", "vars/0")}})


def source_of(file: str, version: str | None, graph: ObjectGraph | None) -> CheckpointSource:
    return cast(
        "CheckpointSource",
        SimpleNamespace(format=file, graph=graph, keras_version=version, uri="model"),
    )


IN_LISTS = "Keras 2 does not save layers in lists of lists or dicts of lists to .keras and .weights.h5"
BY_ATTRIBUTES = "Keras 2 numbers layers in the order in which attributes were set"
OUT_OF_LISTS = "Keras 3 does not save layers in lists, tuples and dicts to a tf.train.Checkpoint"
TRAINABLE_FIRST = "Keras 2 lists trainable variables first"


@pytest.mark.parametrize(
    ("file", "version", "graph", "others", "alike", "why"),
    [
        ("keras", "2.15.0", KERAS_2, False, False, IN_LISTS),
        ("keras", "2.15.0", KERAS_2, True, True, BY_ATTRIBUTES),
        ("keras", "3.1.0", KERAS_3, False, False, ""),
        ("keras_weights", None, UNNAMED, False, False, IN_LISTS),
        ("keras_weights", None, UNNAMED, True, False, BY_ATTRIBUTES),
        ("keras_weights", None, KERAS_2, True, False, ""),  # with names, which only Keras 3 writes
        ("tensor_bundle", None, KERAS_3, False, False, OUT_OF_LISTS),
        ("tensor_bundle", None, KERAS_3, True, True, ""),
        ("tensor_bundle", None, KERAS_2, False, True, ""),
        ("tensor_bundle", None, None, False, True, ""),
        ("keras_h5", "2.15.0", None, True, True, TRAINABLE_FIRST),
        ("keras_h5", None, None, False, True, TRAINABLE_FIRST),
        ("keras_h5", "2.15.0", None, True, False, ""),
        ("keras_h5", "3.1.0", None, True, True, ""),
    ],
)
def test_describe_left_out_is_by_what_the_writer_of_the_file_does(
    file: str, version: str | None, graph: ObjectGraph | None, others: bool, alike: bool, why: str
) -> None:
    missing = ["net/dense/kernel", "net/dense/bias", "scale"]
    message = describe_left_out(missing, source_of(file, version, graph), (), others=others, alike=alike)
    assert why in message
    assert bool(message) == bool(why)
    if message:
        actual = "no place that is certain" if others else "none of them"
        assert message.startswith(f"expected the weights of net/dense, scale in the file, got {actual}: ")
        advice = (
            "as .keras or .weights.h5" if why == OUT_OF_LISTS else "with save_weights(PATH, save_format='tf')"
        )
        assert f" Save the trained model again {advice}, and export" in message


def test_describe_left_out_of_a_variable_with_a_known_place_is_nothing() -> None:
    source = source_of("keras", "2.15.0", KERAS_2)
    assert describe_left_out(["a/w", "b/w"], source, ["b/w"], others=False, alike=False) == ""
