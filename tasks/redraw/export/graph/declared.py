"""Variables with a shape and a dtype but no memory, which is enough to draw a graph.

An initial value is traced in a graph that never runs, which gives its shape and dtype. If
that is not enough, TensorFlow allocates just that variable, and the log says why: its
initializer cannot be traced, or its value is read while the network is drawn.
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

_LARGEST_INITIAL_VALUE = 64 * 1024

T = TypeVar("T")

_drawing = contextvars.ContextVar("drawing", default=False)


class Declarations:
    """How variables are made while one network is drawn.

    Args:
        allocated: The numbers of the variables that get memory, in the order of their creation.
        converted: Whether autograph converts traced functions.

    Attributes:
        converted: Whether autograph converts traced functions.
        missed: Further variables that need memory: they were made with a large value instead of an
            initializer, and the value was read.
    """

    def __init__(self, allocated: Collection[int] = (), *, converted: bool = False) -> None:
        self.converted = converted
        self._allocated = allocated
        self._made = 0
        self.missed: set[int] = set()

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Declare each `tf.Variable` that is made in the block, instead of allocating it.

        Enter it again inside of a traced function, which otherwise makes variables in its own way.
        """
        token = _drawing.set(True)
        try:
            with tf.variable_creator_scope(self._declare):
                yield
        finally:
            _drawing.reset(token)

    def _declare(self, next_creator: Callable[..., Any], **options: Any) -> Any:
        initial, name = options["initial_value"], options.get("name") or "Variable"
        number, self._made = self._made, self._made + 1
        if number in self._allocated:
            logger.warning("variable %s: allocated, because its value is read while drawing", name)
            return next_creator(**options)
        try:
            value = _traced(initial, options.get("dtype"))
        # An initializer is the user's code, and may fail in any way without values.
        except Exception as err:
            logger.warning(
                "variable %s: allocated, because its initial value cannot be traced (%s: %s)",
                name,
                type(err).__name__,
                one_line(str(err).partition("\n")[0]),
            )
            return next_creator(**options)
        return _DeclaredVariable(
            initializer=_initializer(initial),
            miss=functools.partial(self.missed.add, number),
            shape=value.shape if options.get("shape") is None else options["shape"],
            dtype=value.dtype,
            name=options.get("name"),
            **{
                key: options.get(key) for key in ("trainable", "constraint", "synchronization", "aggregation")
            },
        )


def draw_declared(draw: Callable[[Declarations], T]) -> T:
    """Draw with declared variables; draw again if some need memory, or if a trace needs autograph.

    Args:
        draw: Draws with the declarations.

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
    """The function that returns the value later; None for a large value, which would take memory."""
    if callable(initial):
        return initial
    small = not tf.is_symbolic_tensor(initial) and np.asarray(initial).nbytes <= _LARGEST_INITIAL_VALUE
    return (lambda: initial) if small else None


def _traced(initial: Any, dtype: Any) -> Any:
    """A tensor or spec with the shape and the dtype of an initial value, which is not computed."""
    if isinstance(initial, (tf.Tensor, np.ndarray)) and dtype is None:
        return tf.TensorSpec(initial.shape, initial.dtype)
    with scratch_graph("initializer"):
        return tf.convert_to_tensor(initial() if callable(initial) else initial, dtype)


class _DeclaredVariable(UninitializedVariable):
    """A variable that gets memory only when its value is read while drawing."""

    def __init__(
        self, *, initializer: Callable[[], Any] | None, miss: Callable[[], None], **declaration: Any
    ) -> None:
        self._allocated = True  # until the constructor, which reads the handle, is done
        self._declared_initializer, self._miss = initializer, miss
        super().__init__(**declaration)
        self._allocated = False

    @property
    def handle(self) -> Any:
        """The resource; code that reads or changes the value, instead of only capturing it, uses this."""
        if not self._allocated and _drawing.get() and tf.executing_eagerly():
            self._allocate()
        return self._handle

    def _read_variable_op(self, *arguments: Any, **options: Any) -> Any:
        """The value; a read after drawing, such as by a layer's own saving, is an error."""
        if tf.executing_eagerly() and not _drawing.get() and not self._allocated:
            # A checkpoint may have been restored into it, by the handle.
            if not tf.raw_ops.VarIsInitializedOp(resource=self._handle):
                raise InvalidDefinition(
                    f"variable {self.name!r}: expected that only build and serve read the variable, got a"
                    " read outside of both, where the variable has no value. Read the variable in build or"
                    " in serve."
                )
            self._allocated = True
        return super()._read_variable_op(*arguments, **options)

    def assign(self, value: Any, *arguments: Any, **options: Any) -> Any:
        """Change the value; the variable needs no value before."""
        if tf.executing_eagerly():
            self._allocated = True
        return super().assign(value, *arguments, **options)

    def _allocate(self) -> None:
        if self._declared_initializer is None:
            self._miss()
            raise InvalidDefinition(
                f"variable {self.name!r}: expected that only serve reads the variable, got a read in build,"
                " before the checkpoint's value is restored. Pass an initializer instead of a value, or"
                " read the variable in serve."
            )
        logger.warning(
            "variable %s: allocated at its initial value, because that is read while drawing; a constant"
            " computed from it there does not have the checkpoint's value",
            self.name,
        )
        self.assign(self._declared_initializer())
