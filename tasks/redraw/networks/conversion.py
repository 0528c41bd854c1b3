"""Trace functions as they are written, for converting Python's control flow takes as long as tracing.

Autograph rewrites every function below a `tf.function`, so that `if` and `for` may be over tensors. Hardly
any definition needs that, and one that does fails without it: a symbolic tensor refuses to be a condition
and to be iterated over. So the first attempt does without, and only a failure is traced again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Never

import tensorflow as tf

from redraw.definition.user_code import interrupted
from redraw.errors import RedrawError, one_line

logger = logging.getLogger(__name__)


class NeedsConversion(Exception):
    """A function fails as it is written. Draw it again, with autograph."""


def trace_function(function: Callable[..., Any], *arguments: Any, converted: bool, **keywords: Any) -> Any:
    """Trace a function.

    Args:
        function: What is traced.
        arguments: The specs of its arguments.
        converted: Whether autograph converts it, and all that it calls.
        keywords: The specs of its keyword arguments.

    Raises:
        NeedsConversion: Without conversion it raises something.
        Exception: With conversion it raises that.
    """
    if converted:
        return tf.function(function).get_concrete_function(*arguments, **keywords)
    # That turns autograph off in what is called as well, such as the function of a tf.map_fn.
    plain = tf.autograph.experimental.do_not_convert(function)
    try:
        with _ragged_loops_refused():
            return tf.function(plain, autograph=False).get_concrete_function(*arguments, **keywords)
    except RedrawError:
        raise
    # A definition's code may fail in any way at a tensor that it takes for a value.
    except BaseException as err:
        if interrupted(err):
            raise
        logger.info("tracing with autograph, for without it fails: %s", one_line(str(err).partition("\n")[0]))
        raise NeedsConversion from err


@contextlib.contextmanager
def _ragged_loops_refused() -> Iterator[None]:
    """Let a loop over a ragged tensor fail, as one over a tensor does.

    It has no `__iter__`, so that Python would index it, in a graph without an end.
    """

    def refuse(self: Any) -> Never:
        raise TypeError("iterating over a ragged tensor needs autograph")

    tf.RaggedTensor.__iter__ = refuse
    try:
        yield
    finally:
        del tf.RaggedTensor.__iter__
