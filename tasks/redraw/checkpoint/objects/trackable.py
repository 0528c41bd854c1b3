"""The objects of a `tf.train.Checkpoint` and their attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from redraw.checkpoint.bundle.encoding import MalformedError

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
VARIABLE_VALUE = "VARIABLE_VALUE"

_NUMBER = re.compile(r"[0-9]{1,18}")
# In characters: the paths of a model with 100,000 variables have a tenth of them.
_ALL_PATHS = 64 << 20


@dataclass(frozen=True, slots=True)
class SavedTensor:
    """One tensor that an object saved.

    Attributes:
        name: Which of its tensors; `VARIABLE_VALUE` for a variable.
        full_name: The variable's name; Keras gives its path.
        key: The tensor's key in the checkpoint.
    """

    name: str
    full_name: str
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectNode:
    """One object.

    Attributes:
        children: Attribute and number of each child object.
        tensors: The tensors that it saved itself.
        slot_variables: For an optimizer the numbers of its slot variables.
    """

    children: tuple[tuple[str, int], ...]
    tensors: tuple[SavedTensor, ...]
    slot_variables: tuple[int, ...]

    def variables(self) -> Iterator[SavedTensor]:
        """The tensors that are a variable's value; TensorFlow writes at most one."""
        return (tensor for tensor in self.tensors if tensor.name == VARIABLE_VALUE)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectGraph:
    """All objects of a checkpoint; number 0 is the `tf.train.Checkpoint`."""

    nodes: tuple[ObjectNode, ...]

    def child(self, number: int, name: str) -> int | None:
        """The number of an object's child under an attribute."""
        if not self.nodes:
            return None
        return next((target for attribute, target in self.nodes[number].children if attribute == name), None)


def number_of(name: str) -> int | None:
    """The place of an object in a list, by its attribute there; None for another attribute."""
    return int(name) if _NUMBER.fullmatch(name) else None


class Paths(dict[int, str]):
    """Object to its path, within a bound on their total length: long chains of objects have long paths."""

    def __init__(self, start: int) -> None:
        """Start at an object."""
        super().__init__({start: ""})
        self._budget = _ALL_PATHS

    def add(self, number: int, path: str) -> None:
        """Add the path to one more object.

        Raises:
            CheckpointCorrupt: The paths together are longer than those of any model.
        """
        self._budget -= len(path)
        if self._budget < 0:
            damage = MalformedError(f"object paths of at most {_ALL_PATHS} characters in total", "more")
            raise damage.found_in("the checkpoint's object graph")
        self[number] = path
