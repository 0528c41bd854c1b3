"""Redraw what a test recorded, and ask it in a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.definition import RecordedDefinition, Signature, TensorSpec
from redraw.networks.graph_functions import draw_signature, group_by_saved_name, restore_by_name
from tests.redraw.recorded.old_graphs import CLASSES, WIDTH, Recorded

tf1 = tf.compat.v1

SHAPES = {"x": (None, WIDTH), "a": (None, 2), "b": (None, WIDTH - 2)}


def definition_of(recorded: Recorded, **more: Any) -> RecordedDefinition:
    """The definition that serves it; `more` takes the place of its attributes."""
    outputs = more.pop("answers", {"probabilities": TensorSpec("float32", (None, CLASSES))})
    inputs = more.pop("asks", {n: TensorSpec("float32", SHAPES[n]) for n in recorded.inputs})
    body = {
        "__module__": __name__,
        "recording": str(recorded.meta),
        "inputs": recorded.inputs,
        "outputs": recorded.outputs,
        "constants": recorded.constants,
        "signatures": {"serving_default": Signature(inputs=inputs, outputs=outputs)},
        **more,
    }
    definition: RecordedDefinition = type("Drafted", (RecordedDefinition,), body)()
    definition.check()
    return definition


def ask(
    definition: RecordedDefinition, recorded: Recorded, request: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """The redrawn graph's answers, the checkpoint restored under it."""
    with tf.Graph().as_default(), tf1.Session() as session:
        drawn = draw_signature(definition, definition.build(None), "serving_default")  # type: ignore[arg-type]
        groups = group_by_saved_name(tf1.global_variables())
        restore_by_name(session, recorded.prefix, groups)
        session.run(tf1.tables_initializer())
        answers: dict[str, Any] = session.run(
            dict(drawn.outputs), {drawn.inputs[name]: value for name, value in request.items()}
        )
        return answers


def request_of(recorded: Recorded, rows: int, seed: int = 5) -> dict[str, np.ndarray]:
    """Rows of numbers for each input."""
    rng = np.random.default_rng(seed)
    shapes = ((name, SHAPES[name][1:]) for name in recorded.inputs)
    return {
        name: rng.normal(size=(rows, *(n or 1 for n in shape))).astype(np.float32) for name, shape in shapes
    }
