"""The process that loads a SavedModel and answers: `python -m tasks.validate.answer_process`.

It reads the name of a file of requests from standard input once TensorFlow is
imported, and writes the answers to the file named on its command line.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tasks.quiet import quiet_import
from tasks.validate.answers import read_tensors, write_tensors

__all__ = ["main"]


def main() -> None:
    """Load, read, answer."""
    folder, answers_path = sys.argv[1:]
    with quiet_import():
        import tensorflow as tf
    model = tf.saved_model.load(folder)
    requests: dict[str, dict[str, tf.Tensor]] = {}
    for (signature, name), value in read_tensors(Path(sys.stdin.readline().rstrip("\n"))).items():
        requests.setdefault(signature, {})[name] = tf.constant(value)
    answers = {
        (signature, name): value.numpy()
        for signature, inputs in requests.items()
        for name, value in model.signatures[signature](**inputs).items()
    }
    write_tensors(Path(answers_path), answers)


if __name__ == "__main__":
    main()
