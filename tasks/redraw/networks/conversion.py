"""Trace functions without autograph first, because conversion takes as long as tracing.

Autograph rewrites every function below a `tf.function`, so that `if` and `for` accept tensors. Hardly any
definition needs that, and one that does fails without it: a symbolic tensor cannot be a condition or be
iterated over. So the first attempt does not use it, and only a failure is traced again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Never

import tensorflow as tf

from redraw.compat.tensorflow import caching_device_restored
from redraw.definition.user_code import interrupted
from redraw.errors import RedrawError, one_line

logger = logging.getLogger(__name__)


class NeedsConversion(Exception):
    """A function fails without autograph; draw it again with autograph."""


def trace_function(function: Callable[..., Any], *arguments: Any, converted: bool, **keywords: Any) -> Any:
    """Trace a function.

    Args:
        function: The function.
        arguments: The specs of its arguments.
        converted: Whether autograph converts it, and all that it calls.
        keywords: The specs of its keyword arguments.

    Raises:
        NeedsConversion: It raises an error without conversion.
        Exception: It raises this error with conversion.
    """
    if converted:
        return tf.function(function).get_concrete_function(*arguments, **keywords)
    # This also turns autograph off in called functions, such as the function of a tf.map_fn.
    plain = tf.autograph.experimental.do_not_convert(function)
    try:
        with _ragged_loops_refused(), caching_device_restored():
            return tf.function(plain, autograph=False).get_concrete_function(*arguments, **keywords)
    except RedrawError:
        raise
    # A definition's code may fail in any way if it uses a tensor as a value.
    except BaseException as err:
        if interrupted(err):
            raise
        logger.info(
            "tracing with autograph, because it fails without: %s", one_line(str(err).partition("\n")[0])
        )
        raise NeedsConversion from err


@contextlib.contextmanager
def _ragged_loops_refused() -> Iterator[None]:
    """Let a loop over a ragged tensor fail, as a loop over a tensor does.

    It has no `__iter__`, so Python would index it, in a graph without end.
    """

    def refuse(self: Any) -> Never:
        raise TypeError("iterating over a ragged tensor needs autograph")

    tf.RaggedTensor.__iter__ = refuse
    try:
        yield
    finally:
        del tf.RaggedTensor.__iter__
