"""Ask a published version what it makes of its definition's labelled golden examples.

The version is fetched back from the bucket, as a server would fetch it.
"""

from __future__ import annotations

import logging

import numpy as np
import tensorflow as tf

from redraw.ask.values import encode_values
from redraw.definition import GoldenExamples, ModelDefinition
from redraw.definition.examples import read_examples
from redraw.definition.registry import load_definition
from redraw.errors import InvalidDefinition, VersionNotFound
from redraw.export.graph.argument_names import argument_names
from redraw.publish.live.set_live import change_live
from redraw.records.results import Prediction, PredictionRow
from redraw.requests import LiveRequest, PredictRequest
from redraw.storage.opening import download_tree, open_storage
from redraw.storage.scratch import scratch_folder

__all__ = ["predict_golden"]

logger = logging.getLogger(__name__)


def predict_golden(request: PredictRequest) -> Prediction:
    """Fetch a version, load it, and answer the golden examples that have labels.

    Args:
        request: The model, the bucket, and the version (the live one by default).

    Returns:
        A row an example: its label, the model's answer, and whether they agree.

    Raises:
        VersionNotFound: No such version, or none is live.
        InvalidDefinition: No golden example has a label.
        StorageError: The bucket cannot be read.
    """
    definition = load_definition(request.model)
    signature, output, examples = _labelled(request.model, definition)
    version = request.version or _live(request)
    storage = open_storage(request.bucket / request.model / str(version))
    if storage.stat("saved_model.pb") is None:
        raise VersionNotFound(
            f"{storage.uri}: expected a published version, got none. List them with 'redraw releases'."
        )
    with scratch_folder("predict") as folder:
        download_tree(storage, "", folder)
        served = tf.saved_model.load(str(folder)).signatures[signature]
        names, known = argument_names(examples.inputs), served.structured_input_signature[1]
        answers = served(
            **{
                name if name in known else names[name]: tf.constant(value)
                for name, value in examples.inputs.items()
            }
        )
    rows = _rows(np.asarray(examples.labels[output]), answers[output].numpy())
    logger.info("%s answers %d of %d as labelled", storage.uri, sum(row.correct for row in rows), len(rows))
    return Prediction(
        model=request.model, version=version, uri=storage.uri, signature=signature, output=output, rows=rows
    )


def _labelled(model: str, definition: ModelDefinition) -> tuple[str, str, GoldenExamples]:
    for signature, examples in read_examples(definition, "golden_examples").items():
        for output in examples.labels:
            return signature, output, examples
    raise InvalidDefinition(f"model {model!r}: expected golden examples with labels, got none. Add labels.")


def _live(request: PredictRequest) -> int:
    live = change_live(LiveRequest(model=request.model, bucket=request.bucket)).version
    if live is None:
        raise VersionNotFound(
            f"{request.bucket}/{request.model}: expected a live version, got none."
            " Name one with --version, or make one live."
        )
    return live


def _rows(labels: np.ndarray, answers: np.ndarray) -> tuple[PredictionRow, ...]:
    return tuple(
        PredictionRow(
            label=encode_values(np.asarray(label)),
            answer=encode_values(np.asarray(answer)),
            correct=bool(np.array_equal(label, answer)),
        )
        for label, answer in zip(labels, answers, strict=True)
    )
