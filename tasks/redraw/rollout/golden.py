"""Read the recorded requests of a version, and compare a server's answers with the recorded ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from redraw.errors import InvalidRecord, InvalidRequest
from redraw.inspect.answers.comparing import compare_values, is_float
from redraw.publish.browse import Browser
from redraw.records import Release
from redraw.records.attachments import GOLDEN, read_golden
from redraw.rollout.client import Question
from redraw.serving.values import decode_inputs, decode_tensor
from redraw.storage.opening import Storage


def read_questions(storage: Storage, release: Release) -> tuple[tuple[Question, ...], float | None]:
    """The recorded requests of a version, checked against its record; none if the version has none.

    Returns:
        The requests, and how much floats may differ.

    Raises:
        ObjectConflict: They are not what was published.
        InvalidRecord: They do not fit the version's signatures.
        StorageError: The bucket cannot be read.
    """
    content = Browser(storage).attachment(release, GOLDEN)
    if content is None:
        return (), None
    where = f"{release.uri}, {GOLDEN}"
    try:
        golden = read_golden(content)
        questions = []
        for name, request in sorted(golden.signatures.items()):
            signature = release.signatures[name]
            specs = {output: signature.outputs[output] for output in request.outputs}
            place = f"{where}, signature {name!r}"
            outputs = {
                output: decode_tensor(f"{place}, output {output!r}", spec, request.outputs[output])
                for output, spec in specs.items()
            }
            inputs = decode_inputs(place, signature, request.inputs)
            questions.append(Question(signature=name, inputs=inputs, outputs=outputs, specs=specs))
    except (InvalidRecord, InvalidRequest) as err:
        raise InvalidRecord(f"{where}: {err}") from err
    except KeyError as err:
        raise InvalidRecord(
            f"{where}: expected the signatures and outputs of the release record, got {err}. The file was"
            " changed. Push the same export again."
        ) from err
    return tuple(questions), golden.tolerance


def compare(
    question: Question, answered: Mapping[str, np.ndarray], tolerance: float
) -> tuple[list[str], float]:
    """The differences from the recorded answer, by output, and the largest difference between floats.

    Args:
        question: The request with its recorded answer.
        answered: The server's answer.
        tolerance: How much floats may differ, absolute and relative.
    """
    problems, largest = list[str](), 0.0
    for name, expected in sorted(question.outputs.items()):
        what, error = _difference(expected, answered[name], tolerance)
        largest = max(largest, error)
        if what:
            problems.append(f"signature {question.signature!r}, output {name!r}: {what}")
    return problems, largest


def _difference(expected: np.ndarray, actual: np.ndarray, tolerance: float) -> tuple[str, float]:
    if actual.shape != expected.shape:
        return f"shape {list(actual.shape)} instead of {list(expected.shape)}", 0.0
    gaps, differs = compare_values(expected, actual, tolerance)
    if not is_float(expected.dtype):
        return f"{np.sum(differs)} of {expected.size} values differ" if differs.any() else "", 0.0
    largest = float(np.max(gaps[np.isfinite(gaps)], initial=0.0))
    if odd := int(np.sum(~np.isfinite(gaps))):
        return f"{odd} of {expected.size} values are finite in only one of the two answers", largest
    return f"floats differ by up to {largest:.3g}" if differs.any() else "", largest
