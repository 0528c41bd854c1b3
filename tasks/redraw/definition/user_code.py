"""Run users' code, and turn its errors into one line that names the definition."""

from __future__ import annotations

import contextlib
import dis
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from redraw.definition.remote_files import use_local_copies
from redraw.dependencies import naming_extras
from redraw.errors import InvalidDefinition, RedrawError, one_line

_RAISE = dis.opmap["RAISE_VARARGS"]
_NODE = re.compile(r"^\{\{function_node [^}]*\}\} ")


@contextlib.contextmanager
def running_user_code(where: str, *passing: type[Exception]) -> Iterator[None]:
    """Translate errors of a definition's code, with the definition's name and the cause.

    Args:
        where: The definition, its method, and the purpose of the call.
        passing: Errors that are not translated.

    Raises:
        RedrawError: The code raised one itself, which is not translated.
        MissingDependency: It imports a library of an extra that is not installed.
        InvalidDefinition: It raised anything else, even `SystemExit`.
    """
    # If the code needs TensorFlow, it is imported by now.
    if hasattr(sys.modules.get("tensorflow"), "saved_model"):
        use_local_copies()
    try:
        with naming_extras(), _keep_folder():
            yield
    except RedrawError:
        raise
    except passing:
        raise
    except BaseException as err:
        if interrupted(err):
            raise
        text = _text_of(err)
        # Autograph puts its own lines before the message.
        text = text.rstrip().rpartition("\n")[2] if text.startswith("in user code:") else text
        # The message of a tf.data generator starts with a node's name, and ends with a traceback.
        text = _NODE.sub("", text.partition("\nTraceback (most recent call last):")[0])
        cause = one_line(f"{type(err).__name__}: {text}")
        # TensorFlow's message for compat.v1.layers and rnn_cell.
        keras_3 = "is not available with Keras 3" in text
        advice = "Set legacy_keras = True in the definition." if keras_3 else "Correct the definition."
        raise InvalidDefinition(f"{where} fails with {cause.removesuffix('.')}. {advice}") from err


def _text_of(err: BaseException) -> str:
    """An error's message; even making it may fail."""
    try:
        return str(err)
    except Exception as error:
        return f"(no message: str() of the error raised {type(error).__name__})"


@contextlib.contextmanager
def _keep_folder() -> Iterator[None]:
    """Restore the working directory, because the paths of requests may be relative."""
    folder = os.path.curdir
    with contextlib.suppress(OSError):
        folder = os.getcwd()
    try:
        yield
    finally:
        os.chdir(folder)


def batches_of(definition: object, method: str) -> Any:
    """The result of `training_data` or `evaluation_data`: a `tf.data.Dataset` of pairs.

    Raises:
        InvalidDefinition: It is anything else.
    """
    data = getattr(definition, method)()
    spec = getattr(data, "element_spec", None)
    if not isinstance(spec, tuple) or len(spec) != 2:  # noqa: PLR2004 - a pair
        got = type(data).__name__ if spec is None else f"a dataset of {spec!r:.200}"
        raise InvalidDefinition(
            f"{method_of(definition, method)}: expected a tf.data.Dataset of (features, labels), got {got}."
            " Correct the definition."
        )
    return data


def method_of(definition: object, method: str) -> str:
    """A definition's method, for messages."""
    return f"{type(definition).__module__}.{type(definition).__name__}.{method}"


def interrupted(err: BaseException) -> bool:
    """Whether a person interrupted: if code raised the error, the trace ends in a `raise` statement."""
    trace = err.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised = trace is not None and trace.tb_frame.f_code.co_code[trace.tb_lasti] == _RAISE
    return isinstance(err, KeyboardInterrupt) and not raised
