"""Does the SavedModel answer as the checkpoint itself does?

The checkpoint is restored here by TensorFlow's own `tf.train.Checkpoint` (of a TF1 graph
function: by its Saver), under the networks as training drew them, and asked in evaluation
mode: a way that shares nothing with the export's. So weights that the export forgot,
swapped or took from elsewhere show up as different answers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tasks.checkpoint.catalogue import fetch_checkpoint
from tasks.definition import GoldenExamples, GraphFunctionDefinition, Mode, ModelDefinition
from tasks.errors import CheckpointMismatch
from tasks.networks import copy_weights, draw_network, renew_derived_constants
from tasks.records import Check, Checkpoint, WeightsKind
from tasks.validate.graph_answers import answer_in_session

__all__ = ["check_parity"]


def check_parity(
    definition: ModelDefinition,
    reference: Checkpoint | str,
    weights: WeightsKind,
    answers: Mapping[str, Mapping[str, np.ndarray]],
) -> Check:
    """Compare the SavedModel's answers to the golden examples with the checkpoint's.

    Args:
        definition: The model.
        reference: The checkpoint.
        weights: Which of its weights the export serves.
        answers: Signature name to output name to what the SavedModel answered.

    Returns:
        The check `golden-examples`: equal integers and strings, and floats within the
        definition's tolerance.

    Raises:
        CheckpointMismatch: The checkpoint does not fit the definition.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prefix, _ = fetch_checkpoint(reference, Path(scratch))
        expected = _expected(definition, prefix, weights)
    differences = list(_differences(expected, answers, definition.tolerance))
    return Check(
        name="golden-examples",
        status="failed" if differences else "passed",
        looked_at=f"the SavedModel's and {prefix.name}'s answers to {_rows(definition)} golden examples",
        expected=f"the same answers, floats within {definition.tolerance:g}",
        found="; ".join(differences) or f"the same; {_largest(expected, answers)}",
        advice=(
            "Check that serve uses the network alone and that training=False reaches every layer."
            if differences
            else ""
        ),
    )


def _expected(
    definition: ModelDefinition, prefix: Path, weights: WeightsKind
) -> dict[str, dict[str, np.ndarray]]:
    examples = definition.golden_examples()
    if isinstance(definition, GraphFunctionDefinition):
        return answer_in_session(definition, prefix, weights, examples)
    network = _restored(definition, prefix, weights)
    return {name: _answer(definition, network, name, examples[name]) for name in examples}


def _restored(definition: ModelDefinition, prefix: Path, weights: WeightsKind) -> Any:
    network = draw_network(definition, Mode.EVALUATE)
    source = network if weights == "average" else draw_network(definition, Mode.TRAIN)
    tracked = {"average": source} if weights == "average" else {"model": source}
    try:
        status = tf.train.Checkpoint(**tracked).read(str(prefix))
        status.expect_partial().assert_existing_objects_matched()
    except (AssertionError, ValueError) as err:
        first_line = str(err).partition("\n")[0]
        raise CheckpointMismatch(
            f"{prefix}: expected {weights} weights of this definition's network, got: {first_line}."
        ) from err
    if source is not network:
        copy_weights(source, network)
    renew_derived_constants(network)
    return network


def _answer(
    definition: ModelDefinition, network: Any, name: str, examples: GoldenExamples
) -> dict[str, np.ndarray]:
    specs = definition.signatures[name].inputs
    inputs = {key: tf.constant(value, specs[key].dtype) for key, value in examples.inputs.items()}
    outputs = tf.function(lambda given: definition.serve(network, name, given))(inputs)
    return {key: value.numpy() for key, value in outputs.items()}


def _differences(
    expected: Mapping[str, Mapping[str, np.ndarray]],
    answers: Mapping[str, Mapping[str, np.ndarray]],
    tolerance: float,
) -> Iterator[str]:
    for signature, outputs in expected.items():
        for output, want in outputs.items():
            got = answers[signature].get(output)
            if got is None or got.shape != want.shape or not _equal(want, got, tolerance):
                yield f"signature {signature!r}, output {output!r}: {_shown(want, got)}"


def _equal(want: np.ndarray, got: np.ndarray, tolerance: float) -> bool:
    if want.dtype.kind in "fc":
        return bool(np.allclose(got, want, rtol=tolerance, atol=tolerance))
    return bool(np.array_equal(got, want))


def _shown(want: np.ndarray, got: np.ndarray | None) -> str:
    if got is None:
        return "no such output"
    if got.shape != want.shape:
        return f"shape {list(got.shape)} instead of {list(want.shape)}"
    if want.dtype.kind in "fc":
        return f"differs by up to {np.max(np.abs(got - want)):.3g}"
    return f"{int(np.sum(got != want))} of {want.size} values differ"


def _largest(
    expected: Mapping[str, Mapping[str, np.ndarray]], answers: Mapping[str, Mapping[str, np.ndarray]]
) -> str:
    differences = [
        float(np.max(np.abs(answers[signature][output] - want), initial=0.0))
        for signature, outputs in expected.items()
        for output, want in outputs.items()
        if want.dtype.kind in "fc"
    ]
    return f"floats differ by {max(differences, default=0.0):.3g} at most"


def _rows(definition: ModelDefinition) -> int:
    return sum(len(next(iter(e.inputs.values()))) for e in definition.golden_examples().values())
