"""Let a process that knows nothing of the definition load a SavedModel and answer requests.

The process starts at once and imports TensorFlow while the caller imports its own.
Values go back and forth as `.npz` files without pickles: bytes as their lengths and
their concatenation.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from tasks.definition import GoldenExamples

__all__ = ["AnswerProcess", "Answers", "read_tensors", "write_tensors"]

_TEXT = "|text"


@dataclass(frozen=True)
class Answers:
    """What a process answered.

    Attributes:
        outputs: Signature name to output name to values.
        failure: Why there are none; empty when there are.
    """

    outputs: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    failure: str = ""


class AnswerProcess:
    """A fresh process that loads one SavedModel; a context manager that ends it.

    Args:
        folder: The SavedModel.
        scratch: An empty folder for requests and answers.
    """

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._requests, self._answers = scratch / "requests.npz", scratch / "answers.npz"
        command = [sys.executable, "-m", "tasks.validate.answer_process", str(folder), str(self._answers)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module, our own arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.communicate()

    def ask(self, examples: Mapping[str, GoldenExamples]) -> Answers:
        """Send every signature's examples and wait for the answers.

        Args:
            examples: Signature name to examples.

        Returns:
            The answers, or why there are none.
        """
        requests = {(name, key): value for name, e in examples.items() for key, value in e.inputs.items()}
        write_tensors(self._requests, requests)
        _, errors = self._process.communicate(f"{self._requests}\n")
        if self._process.returncode != 0:
            lines = [line for line in errors.splitlines() if line.strip()]
            last = lines[-1] if lines else "nothing on standard error"
            return Answers(failure=f"the process ended with {self._process.returncode}: {last}")
        outputs: dict[str, dict[str, np.ndarray]] = {}
        for (signature, name), value in read_tensors(self._answers).items():
            outputs.setdefault(signature, {})[name] = value
        return Answers(outputs=outputs)


def write_tensors(path: Path, tensors: Mapping[tuple[str, str], Any]) -> None:
    """Write arrays under pairs of names; object arrays hold bytes."""
    arrays: dict[str, np.ndarray] = {}
    for pair, value in tensors.items():
        key, array = "/".join(pair), np.asarray(value)
        if array.dtype.kind == "O":
            arrays[key + _TEXT] = np.frombuffer(b"".join(array.ravel()), np.uint8)
            arrays[key] = np.vectorize(len, otypes=[np.int64])(array)
        else:
            arrays[key] = array
    np.savez(path, allow_pickle=False, **arrays)


def read_tensors(path: Path) -> dict[tuple[str, str], np.ndarray]:
    """Read what `write_tensors` wrote."""
    return dict(_read(path))


def _read(path: Path) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            if key.endswith(_TEXT):
                continue
            signature, _, name = key.partition("/")
            value = arrays[key]
            if key + _TEXT in arrays.files:
                value = _cut(arrays[key + _TEXT].tobytes(), value)
            yield (signature, name), value


def _cut(text: bytes, lengths: np.ndarray) -> np.ndarray:
    ends = np.cumsum(lengths.ravel())
    pieces = [text[end - length : end] for end, length in zip(ends, lengths.ravel(), strict=True)]
    values = np.empty(len(pieces), dtype=object)
    values[:] = pieces
    return values.reshape(lengths.shape)
