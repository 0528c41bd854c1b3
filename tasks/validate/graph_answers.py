"""What a checkpoint itself makes of requests, for TF1 graph functions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tasks.definition import GoldenExamples, GraphFunctionDefinition, Mode
from tasks.graphs import draw_signature, group_by_saved_name, restore_by_name, with_averages
from tasks.records import WeightsKind

__all__ = ["answer_in_session"]


def answer_in_session(
    definition: GraphFunctionDefinition,
    prefix: Path,
    weights: WeightsKind,
    examples: Mapping[str, GoldenExamples],
) -> dict[str, dict[str, np.ndarray]]:
    """Draw for EVALUATE, restore by TensorFlow's Saver, and answer in a session of its own.

    Args:
        definition: The model.
        prefix: The checkpoint.
        weights: Which of its weights to restore.
        examples: Signature name to requests.

    Returns:
        Signature name to output name to answers.

    Raises:
        CheckpointMismatch: The checkpoint does not fit the definition.
        InvalidDefinition: The definition fails, or answers something else than it says.
    """
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = definition.build(Mode.EVALUATE)
        drawn = {name: draw_signature(definition, network, name) for name in examples}
        groups = group_by_saved_name(tf.compat.v1.global_variables())
        keys = {name: name for name in groups}
        if weights == "average":
            keys = with_averages(groups, tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map())
        initializers = [tf.compat.v1.tables_initializer(), tf.compat.v1.local_variables_initializer()]
        restore_by_name(session, prefix, {keys[name]: parts for name, parts in groups.items()})
        session.run(initializers)
        return {
            name: session.run(
                dict(signature.outputs),
                {signature.inputs[key]: value for key, value in examples[name].inputs.items()},
            )
            for name, signature in drawn.items()
        }
