"""Ask a published version its definition's labelled golden examples.

The version is downloaded from the bucket, as a server would do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.definition import GoldenExamples, ModelDefinition
from redraw.definition.examples import read_examples
from redraw.definition.registry import load_definition
from redraw.errors import InvalidDefinition, NotAnswered, NotLoadable, VersionNotFound
from redraw.publish.bucket.verified import fetch_verified
from redraw.publish.live.set_live import change_live
from redraw.records.results import Prediction, PredictionRow
from redraw.requests import LiveRequest, PredictRequest
from redraw.serving import LoadFailed, RequestRefused, ServingCrashed, ServingProcess
from redraw.serving.values import encode_values
from redraw.storage.opening import open_storage
from redraw.storage.scratch import scratch_folder

logger = logging.getLogger(__name__)


def predict_golden(request: PredictRequest) -> Prediction:
    """Download a version, load it, and let it answer the golden examples that have labels.

    Args:
        request: The model, the bucket, and the version (the live one by default).

    Returns:
        A row for each example: its label, the model's answer, and whether they agree.

    Raises:
        VersionNotFound: There is no such version, or none is live.
        InvalidDefinition: No golden example has a label.
        StorageError: The bucket cannot be read.
    """
    definition = load_definition(request.model)
    signature, output, examples = _labelled(request.model, definition)
    version = _live(request) if request.version is None else request.version
    with scratch_folder("predict") as scratch:
        folder = scratch / str(version)
        release = fetch_verified(open_storage(request.bucket), request.model, version, folder)
        answers = _answer(definition, signature, folder, examples.inputs)
    rows = _rows(np.asarray(examples.labels[output]), answers[output])
    logger.info("%s answers %d of %d as labelled", release.uri, sum(row.correct for row in rows), len(rows))
    return Prediction(
        model=request.model, version=version, uri=release.uri, signature=signature, output=output, rows=rows
    )


def _answer(
    definition: ModelDefinition, signature: str, folder: Path, inputs: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """Load the version as a server does, and send it all examples at once."""
    specs = definition.signatures[signature].inputs
    request = {name: np.asarray(value, numpy_dtype(specs[name].dtype)) for name, value in inputs.items()}
    try:
        with ServingProcess() as serving:
            model = serving.load(folder, declared=lambda: definition.stateful_ops)
            return model.answer(signature, request)
    except LoadFailed as err:
        raise NotLoadable(f"the version cannot be loaded: {err}. Choose another version.") from err
    except (RequestRefused, ServingCrashed) as err:
        raise NotAnswered(f"signature {signature!r}: expected an answer, got: {err}.") from err


def _labelled(model: str, definition: ModelDefinition) -> tuple[str, str, GoldenExamples]:
    for signature, examples in read_examples(definition, "golden_examples").items():
        for output in examples.labels:
            return signature, output, examples
    raise InvalidDefinition(
        f"model {model!r}: expected golden examples with labels, got none. Add labels"
        " to the definition's golden_examples."
    )


def _live(request: PredictRequest) -> int:
    live = change_live(LiveRequest(model=request.model, bucket=request.bucket)).version
    if live is None:
        raise VersionNotFound(
            f"{request.bucket}/{request.model}: expected a live version, found none. Name a version with"
            " --version, or make a version live."
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
