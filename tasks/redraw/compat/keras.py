"""What Redraw uses of Keras that is not its public API; all of it is that of Keras 3.15."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.models.functional import Functional
from keras.src.saving import saving_lib

from redraw.compat.tensorflow import copy_to_cpu

__all__ = [
    "Call",
    "calls_of",
    "every_layer",
    "functional_of",
    "optimizer_averages",
    "repair_async_saving",
    "saved_places",
    "take_gradient_sum",
]


def every_layer(network: keras.Model) -> Iterator[keras.layers.Layer]:
    """A network's layers, and those inside of layers; the public `layers` has the outer ones alone."""
    yield from network._flatten_layers()


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call in a functional model.

    Attributes:
        operation: What is called: a layer, or an operation of `keras.ops`.
        arguments: All that it is called with but for masks, which follow from what is called before.
        outputs: The tensors that it gives.
    """

    operation: Any
    arguments: tuple[Any, ...]
    outputs: tuple[Any, ...]


def functional_of(network: Any) -> Any:
    """The functional model that a Keras model is or wraps; None of a class with a `call` of its own.

    A Sequential keeps its own under a private name.
    """
    network = network._functional if isinstance(network, keras.Sequential) else network
    return network if isinstance(network, Functional) else None


def calls_of(functional: Any) -> Iterator[Call]:
    """The calls of a functional model, each after those that it needs.

    Keras has no public way to ask which layer is called with what. It ends with one.
    """
    for _, nodes in sorted(functional._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            if not node.is_input:
                named = (item for key, item in sorted(node.arguments.kwargs.items()) if key != "mask")
                arguments = tuple(keras.tree.flatten([*node.arguments.args, *named]))
                yield Call(operation=node.operation, arguments=arguments, outputs=tuple(node.outputs))


def optimizer_averages(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """The moving averages of a built optimizer with `use_ema`, in the order of what it trains.

    They are among the public `variables`, which does not say which they are.
    """
    return list(optimizer._model_variables_moving_average)


def take_gradient_sum(optimizer: keras.optimizers.Optimizer) -> Callable[[Any], Any]:
    """Have an optimizer sum no gradients up over replicas; returns what did, for its caller to do earlier.

    Keras sums up after it has clipped each replica's for itself. It has no public switch:
    `tf.keras.optimizers` had `experimental_aggregate_gradients` until Keras 3.
    """
    summing: Callable[[Any], Any] = optimizer._all_reduce_sum_gradients
    optimizer._all_reduce_sum_gradients = list
    return summing


def repair_async_saving() -> None:
    """Replace the hook that copies a Keras variable for an asynchronous checkpoint.

    Keras 3.15 makes a new `tf.Variable` each time it is called (keras-team/keras#18749 brought the hook);
    TensorFlow calls it inside a `tf.function`, where the second save then fails with "tf.function only
    supports singleton tf.Variables". The copy that TensorFlow has already made of the variable's value
    serves as well. It ends with a Keras that keeps its copy.
    """
    keras.Variable._copy_trackable_to_cpu = _copy_trackable_to_cpu


def _copy_trackable_to_cpu(variable: Any, object_map: dict[Any, Any]) -> None:
    object_map[variable] = copy_to_cpu(variable.value, object_map)


def saved_places(network: keras.Model) -> dict[int, str]:
    """Where `save_weights` puts each variable of a network, such as `layers/dense/vars/0`; writes nothing.

    Keras has no public way to ask. It ends with one.

    Returns:
        The `id` of each `tf.Variable`, and its place in `.weights.h5`.
    """
    recorder = _Recorder()
    saving_lib._save_state(network, recorder, None, "", set())
    return recorder.places


class _Recorder(saving_lib.H5IOStore):
    """Takes the place of a file: notes where a variable would go, and writes nothing."""

    def __init__(self) -> None:
        self.places: dict[int, str] = {}
        self._at = ""

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: Any = None) -> _Recorder:
        """Go to a layer."""
        self._at = f"{path}/vars" if path else "vars"
        return self

    def __setitem__(self, key: str, value: Any) -> None:
        variable = value.value if isinstance(value, keras.Variable) else value
        self.places.setdefault(id(variable), f"{self._at}/{key}")
