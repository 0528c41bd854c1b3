"""Whatever a definition's code raises is one line with its name; what others raise is left as it is."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from redraw.definition.user_code import running_user_code
from redraw.errors import InvalidDefinition, StorageUnavailable


class Speechless(Exception):  # noqa: N818 - as users call theirs
    """An error that fails at its own message."""

    def __str__(self) -> str:
        raise ValueError("none")


@pytest.mark.parametrize(
    ("raised", "cause"),
    [
        (Speechless(), "Speechless: (no message: str() of the error raised ValueError)"),
        (ValueError("\x1b[1mInput 0\x1b[0m\n  is missing"), "ValueError: Input 0 is missing"),
        (SystemExit(0), "SystemExit: 0"),
        (KeyboardInterrupt(), "KeyboardInterrupt:"),
        (GeneratorExit(), "GeneratorExit:"),
        (StopIteration(), "StopIteration:"),
        (BaseException("odd"), "BaseException: odd"),
        (ValueError("x" * 10_000), "ValueError: xxx"),
    ],
)
def test_running_user_code_that_raises_is_one_line(raised: BaseException, cause: str) -> None:
    with pytest.raises(InvalidDefinition) as caught, running_user_code("models.mine.Mine.build"):
        raise raised
    line = str(caught.value)
    assert line.startswith(f"models.mine.Mine.build fails with {cause}")
    assert line.endswith(". Correct the definition.")
    assert "\n" not in line
    assert len(line) < 3000


def test_running_user_code_of_a_generator_of_data_says_what_it_raised() -> None:
    import tensorflow as tf

    def rows() -> Iterator[int]:
        raise RuntimeError("in the generator")
        yield

    data = tf.data.Dataset.from_generator(rows, output_signature=tf.TensorSpec([], tf.int32))
    with (
        pytest.raises(
            InvalidDefinition, match=r"mine fails with \w+: RuntimeError: in the generator\. Correct the def"
        ),
        running_user_code("mine"),
    ):
        list(data)


def test_running_user_code_interrupted_by_a_person_ends() -> None:
    # A process that a shell starts in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), running_user_code("models.mine"):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_running_user_code_own_errors_and_those_of_others_are_left() -> None:
    with pytest.raises(StorageUnavailable), running_user_code("models.mine"):
        raise StorageUnavailable("no answer")
    with pytest.raises(BlockingIOError), running_user_code("models.mine", BlockingIOError):
        raise BlockingIOError


def test_running_user_code_that_changes_folder_comes_back(tmp_path: Path) -> None:
    before = os.getcwd()
    with running_user_code("models.mine"):
        os.chdir(tmp_path)
    assert os.getcwd() == before
