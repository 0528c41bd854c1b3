"""Which Keras wrote a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.checkpoint.formats.writer import find_writer


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("lstm/recurrent_kernel", True),
        ("encoder/lstm/recurrent_kernel", True),
        # A scope of the model's that is called as cells are says nothing.
        ("cells/lstm/recurrent_kernel", True),
        ("lstm/lstm_cell/recurrent_kernel", False),
        ("bidirectional/forward_lstm/lstm_cell_1/recurrent_kernel", False),
        ("lstm/kernel", False),
        ("recurrent_kernel", False),
    ],
)
def test_cells_without_a_name_of_their_own_may_be_of_the_first_keras(
    tmp_path: Path, name: str, first: bool
) -> None:
    prefix = tf.train.Checkpoint(weight=tf.Variable([1.0], name=name)).save(str(tmp_path / "model"))
    writer = find_writer(open_checkpoint(Path(prefix)))
    assert (writer.first_gates, writer.keras_3, writer.keras_2) == (first, False, False)
