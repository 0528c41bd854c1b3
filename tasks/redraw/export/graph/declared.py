"""Variables that have a shape and a dtype and no memory: enough to draw a graph with.

An initial value is traced in a graph that never runs, which tells what it would be.
Where that is not enough, just that variable is made the ordinary way, and the log says
why: its initializer cannot be traced, or its value is read while the network is drawn.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from redraw.compat.tensorflow import UninitializedVariable, scratch_graph
from redraw.errors import InvalidDefinition, one_line
from redraw.networks.conversion import NeedsConversion

logger = logging.getLogger(__name__)

_KEPT_BYTES = 64 * 1024

T = TypeVar("T")

_drawing = contextvars.ContextVar("drawing", default=False)


class Declarations:
    """How variables are made while one network is drawn.

    Args:
        allocated: Which variables get memory, counted from 0 as they are made.
        converted: Whether what is traced is converted by autograph.

    Attributes:
        converted: As given.
        missed: Further ones that would have needed it: they were made with a value instead of an
            initializer, it was large and not kept, and then it was read.
    """

    def __init__(self, allocated: Collection[int] = (), *, converted: bool = False) -> None:
        self.converted = converted
        self._allocated = allocated
        self._made = 0
        self.missed: set[int] = set()

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Within, whatever makes a `tf.Variable` declares it.

        To be entered again inside of a function that is traced: that makes variables
        in its own way otherwise.

        Yields:
            Nothing; draw within.
        """
        token = _drawing.set(True)
        try:
            with tf.variable_creator_scope(self._declare):
                yield
        finally:
            _drawing.reset(token)

    def _declare(self, next_creator: Callable[..., Any], **wanted: Any) -> Any:
        initial, name = wanted["initial_value"], wanted.get("name") or "Variable"
        number, self._made = self._made, self._made + 1
        if number in self._allocated:
            logger.warning("variable %s: allocated, for its value is read while drawing", name)
            return next_creator(**wanted)
        try:
            value = _traced(initial, wanted.get("dtype"))
        # An initializer is anybody's code, and may fail in any way when it is given no values.
        except Exception as err:
            logger.warning(
                "variable %s: allocated, for its initial value cannot be traced (%s: %s)",
                name,
                type(err).__name__,
                one_line(str(err).partition("\n")[0]),
            )
            return next_creator(**wanted)
        return _DeclaredVariable(
            initializer=_initializer(initial),
            miss=functools.partial(self.missed.add, number),
            shape=value.shape if wanted.get("shape") is None else wanted["shape"],
            dtype=value.dtype,
            name=wanted.get("name"),
            **{key: wanted.get(key) for key in ("trainable", "constraint", "synchronization", "aggregation")},
        )


def draw_declared(draw: Callable[[Declarations], T]) -> T:
    """Draw with variables that are declared; again if some of them need memory, or what is traced autograph.

    Args:
        draw: Draws, with the declarations in force.

    Raises:
        InvalidDefinition: It cannot be drawn.
    """
    allocated, converted = set[int](), False
    while True:
        declarations = Declarations(allocated, converted=converted)
        try:
            return draw(declarations)
        except NeedsConversion:
            converted = True
        except InvalidDefinition:
            if not declarations.missed:
                raise
            allocated |= declarations.missed


def is_declared(variable: Any) -> bool:
    """Whether a variable was declared while a network was drawn."""
    return isinstance(variable, _DeclaredVariable)


def _initializer(initial: Any) -> Callable[[], Any] | None:
    """What gives the value later; a large one is not kept, for that would be memory as well."""
    if callable(initial):
        return initial
    kept = not tf.is_symbolic_tensor(initial) and np.asarray(initial).nbytes <= _KEPT_BYTES
    return (lambda: initial) if kept else None


def _traced(initial: Any, dtype: Any) -> Any:
    """What has the shape and the dtype of an initial value; its own value is not computed."""
    if isinstance(initial, (tf.Tensor, np.ndarray)) and dtype is None:
        return tf.TensorSpec(initial.shape, initial.dtype)
    with scratch_graph("initializer"):
        return tf.convert_to_tensor(initial() if callable(initial) else initial, dtype)


class _DeclaredVariable(UninitializedVariable):
    """A variable that gets memory when its value is asked for while drawing, and not before."""

    def __init__(
        self, *, initializer: Callable[[], Any] | None, miss: Callable[[], None], **declaration: Any
    ) -> None:
        self._allocated = True  # until its constructor, which looks at the handle, is through
        self._declared_initializer, self._miss = initializer, miss
        super().__init__(**declaration)
        self._allocated = False

    @property
    def handle(self) -> Any:
        """The resource; whatever reads or changes the value, and not only captures it, asks here."""
        if not self._allocated and _drawing.get() and tf.executing_eagerly():
            self._allocate()
        return self._handle

    def _read_variable_op(self, *arguments: Any, **options: Any) -> Any:
        """The value; what reads it when nothing is drawn any more, such as a layer's own saving, has none."""
        if tf.executing_eagerly() and not _drawing.get() and not self._allocated:
            # A checkpoint may have been restored into it, by the handle.
            if not tf.raw_ops.VarIsInitializedOp(resource=self._handle):
                raise InvalidDefinition(
                    f"variable {self.name!r}: expected that only what is drawn reads it, got a read"
                    " afterwards, when it has no value. Read it in build or in serve."
                )
            self._allocated = True
        return super()._read_variable_op(*arguments, **options)

    def assign(self, value: Any, *arguments: Any, **options: Any) -> Any:
        """Change the value, which needs none before."""
        if tf.executing_eagerly():
            self._allocated = True
        return super().assign(value, *arguments, **options)

    def _allocate(self) -> None:
        if self._declared_initializer is None:
            self._miss()
            raise InvalidDefinition(
                f"variable {self.name!r}: expected that only serve reads it, got a read while the network"
                " is drawn. Give it an initializer instead of a value, or read it in serve."
            )
        logger.warning(
            "variable %s: allocated at its initial value, for that is read while drawing; what is made of"
            " it there and never read again is not the checkpoint's",
            self.name,
        )
        self.assign(self._declared_initializer())
