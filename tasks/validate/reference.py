"""What a checkpoint itself makes of the golden examples, asked in evaluation mode.

A checkpoint that a training run of ours saved is restored by TensorFlow's own
`tf.train.Checkpoint` (of a TF1 graph function: by its Saver), under the networks as
training drew them: a way that shares nothing with the export's. Files that came from
elsewhere fit no such network as a whole; of these the ledger's tensors are assigned
to the network one by one, which still holds the drawing and the moving to account.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tasks.checkpoint.catalogue import fetch_checkpoint, find_record
from tasks.checkpoint.source import open_checkpoint
from tasks.definition import GoldenExamples, GraphFunctionDefinition, Mode, ModelDefinition
from tasks.errors import CheckpointMismatch, InvalidRecord
from tasks.networks import copy_weights, draw_network, renew_derived_constants, weights_by_name
from tasks.records import Checkpoint, ExportedModel, WeightsKind
from tasks.storage import read_uri
from tasks.validate.graph_answers import answer_in_session

__all__ = ["answer_from_checkpoint"]


def answer_from_checkpoint(
    definition: ModelDefinition, reference: Checkpoint | str, exported: ExportedModel
) -> tuple[dict[str, dict[str, np.ndarray]], str]:
    """Restore a checkpoint and answer the golden examples.

    Args:
        definition: The model.
        reference: The checkpoint.
        exported: The export that is held to it.

    Returns:
        Signature name to output name to answers, and how the checkpoint was restored.

    Raises:
        CheckpointMismatch: The checkpoint does not fit the definition.
        InvalidRecord: The export has no ledger, and the checkpoint cannot be restored without.
    """
    examples = definition.golden_examples()
    if not isinstance(definition, GraphFunctionDefinition) and _is_foreign(reference):
        network = _assigned(definition, reference, exported)
        restored = "the checkpoint's tensors, assigned by the restore ledger"
        return {name: _answer(definition, network, name, examples[name]) for name in examples}, restored
    with tempfile.TemporaryDirectory() as scratch:
        prefix, _ = fetch_checkpoint(reference, Path(scratch))
        if isinstance(definition, GraphFunctionDefinition):
            answers = answer_in_session(definition, prefix, exported.weights, examples)
            return answers, f"{prefix.name}, restored by TensorFlow's Saver"
        network = _restored(definition, prefix, exported.weights)
    answers = {name: _answer(definition, network, name, examples[name]) for name in examples}
    return answers, f"{prefix.name}, restored by tf.train.Checkpoint"


def _is_foreign(reference: Checkpoint | str) -> bool:
    """Whether no training run of ours has saved it."""
    record = reference if isinstance(reference, Checkpoint) else find_record(reference)
    return record is None or record.run is None


def _assigned(definition: ModelDefinition, reference: Checkpoint | str, exported: ExportedModel) -> Any:
    text = read_uri(exported.ledger_uri)
    if text is None:
        raise InvalidRecord(
            f"{exported.ledger_uri}: expected the restore ledger of the export, got nothing. Export again."
        )
    keys = {row["variable"]: row["key"] for row in json.loads(text)["served"]}
    uri = reference.uri if isinstance(reference, Checkpoint) else reference
    source = open_checkpoint(uri)
    network = draw_network(definition, Mode.EVALUATE)
    for name, variable in weights_by_name(network).items():
        if name in keys:
            if keys[name] not in source.entries:
                raise CheckpointMismatch(
                    f"{uri}: expected the tensor {keys[name]!r} of the ledger, got none."
                    " Validate with the checkpoint that the export was made of."
                )
            variable.assign(source.read_array(keys[name]))
    renew_derived_constants(network)
    return network


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
    inputs: Mapping[str, tf.Tensor] = {
        key: tf.constant(value, specs[key].dtype) for key, value in examples.inputs.items()
    }
    outputs = tf.function(lambda given: definition.serve(network, name, given))(inputs)
    return {key: value.numpy() for key, value in outputs.items()}
