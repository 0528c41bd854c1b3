from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import tensorflow as tf

from redraw.errors import InvalidDefinition
from redraw.networks.conversion import NeedsConversion, trace_function

ROWS = tf.TensorSpec([None], tf.float32, "rows")


def _doubled_if_positive(rows: tf.Tensor) -> tf.Tensor:
    if tf.reduce_sum(rows) > 0:
        rows = rows * 2
    return rows


def _summed_in_a_loop(rows: tf.Tensor) -> tf.Tensor:
    total = tf.constant(0.0)
    for row in rows:
        total += row
    return total


def _counted_by_while(rows: tf.Tensor) -> tf.Tensor:
    count = tf.constant(0)
    while tf.cast(count, tf.float32) < tf.reduce_sum(rows):
        count += 1
    return count


def _ranged(rows: tf.Tensor) -> tf.Tensor:
    total = tf.constant(0)
    for number in range(tf.shape(rows)[0]):
        total += number
    return total


def _ragged(rows: tf.Tensor) -> tf.Tensor:
    total = tf.constant(0.0)
    for part in tf.RaggedTensor.from_row_lengths(rows, [tf.shape(rows)[0] - 1, 1]):
        total += tf.reduce_max(part)
    return total


def _over_data(rows: tf.Tensor) -> tf.Tensor:
    total = tf.constant(0.0)
    for row in tf.data.Dataset.from_tensor_slices(rows):
        total += row
    return total


def _in_an_inner_function(rows: tf.Tensor) -> tf.Tensor:
    return tf.function(_doubled_if_positive)(rows)


def _in_map(rows: tf.Tensor) -> tf.Tensor:
    def positive(row: tf.Tensor) -> tf.Tensor:
        return row if row > 0 else -row

    return tf.map_fn(positive, rows)


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (_doubled_if_positive, [2.0, 8.0]),
        (_summed_in_a_loop, 5.0),
        (_counted_by_while, 5),
        (_ranged, 1),
        (_ragged, 5.0),
        (_over_data, 5.0),
        (_in_map, [1.0, 4.0]),
    ],
)
def test_trace_function_over_tensors_asks_for_conversion(function: Callable[..., Any], answer: Any) -> None:
    with pytest.raises(NeedsConversion):
        trace_function(function, ROWS, converted=False)

    traced = trace_function(function, ROWS, converted=True)

    assert traced(tf.constant([1.0, 4.0])).numpy().tolist() == answer


def test_trace_function_leaves_inner_functions_their_own_conversion() -> None:
    traced = trace_function(_in_an_inner_function, ROWS, converted=False)

    assert traced(tf.constant([1.0, 4.0])).numpy().tolist() == [2.0, 8.0]


def test_trace_function_without_control_flow_draws_the_same_operations() -> None:
    def plain(rows: tf.Tensor) -> tf.Tensor:
        scaled = [rows * factor for factor in (1, 2) if factor]
        return tf.map_fn(lambda row: row + 1 if len(scaled) == 2 else row, scaled[1])

    graphs = [trace_function(plain, ROWS, converted=converted).graph for converted in (False, True)]

    first, second = ([(one.name, one.type) for one in graph.get_operations()] for graph in graphs)
    assert first == second


def test_trace_function_with_a_print_draws_no_operation_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    def printing(rows: tf.Tensor) -> tf.Tensor:
        print("the rows:", rows)
        return rows * 2

    graph = trace_function(printing, ROWS, converted=False).graph

    assert "PyFunc" not in " ".join(one.type for one in graph.get_operations())
    assert "the rows: Tensor(" in capsys.readouterr().out


def test_trace_function_leaves_ragged_tensors_as_they_were() -> None:
    with pytest.raises(NeedsConversion):
        trace_function(_ragged, ROWS, converted=False)

    assert not hasattr(tf.RaggedTensor, "__iter__")
    assert [part.numpy().tolist() for part in tf.ragged.constant([[1], [2, 3]])] == [[1], [2, 3]]


@pytest.mark.parametrize(
    "loop", [tf.map_fn, partial(tf.scan, initializer=0.0), partial(tf.foldl, initializer=0.0)]
)
def test_trace_function_that_fails_in_a_loop_leaves_the_variable_scope_as_it_was(
    loop: Callable[..., Any],
) -> None:
    def failing(*rows: tf.Tensor) -> tf.Tensor:
        raise ValueError("rows")

    with pytest.raises(NeedsConversion):
        trace_function(lambda rows: loop(failing, rows), ROWS, converted=False)

    assert tf.compat.v1.get_variable_scope().caching_device is None
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        tf.Variable([1.0])


def test_trace_function_lets_errors_of_redraw_through() -> None:
    def wrong(rows: tf.Tensor) -> tf.Tensor:
        raise InvalidDefinition("expected rows")

    with pytest.raises(InvalidDefinition, match="expected rows"):
        trace_function(wrong, ROWS, converted=False)


@pytest.mark.parametrize("error", [SystemExit(3), BaseException("odd"), KeyboardInterrupt()])
def test_trace_of_code_that_raises_anything_is_tried_with_conversion(error: BaseException) -> None:
    def ends(rows: tf.Tensor) -> tf.Tensor:
        raise error

    with pytest.raises(NeedsConversion):
        trace_function(ends, ROWS, converted=False)
