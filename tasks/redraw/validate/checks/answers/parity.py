"""Does the SavedModel answer like the checkpoint itself?

Answers differ if the export left out or swapped weights or took them from elsewhere, or if a layer
serves in training mode.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from redraw.definition import GoldenExamples
from redraw.errors import CheckpointMismatch
from redraw.inspect.answers.comparing import difference, is_float
from redraw.records import Check
from redraw.records.attachments import GOLDEN
from redraw.records.schema import ATTACHMENT_SCHEMA, SCHEMA
from redraw.serving.requests import count_rows, take_rows
from redraw.serving.values import encode_values
from redraw.validate.checks.behaviour.repeatable import declared_kinds
from redraw.validate.outcome import CannotRun, conclude
from redraw.validate.subject.subject import Answers, Subject

# A sample of few rows may come out the same once or twice by chance.
_MOST_TIMES = 8
_ADVICE = "Make sure that serve uses only the network, and that every layer is called with training=False."
# The rounding error of a value near 1 if the runtime fuses the graph differently.
_ROUNDING = {"float16": 2e-3, "bfloat16": 1.6e-2}
_ROWS = 4
# The most values of a request; a signature with larger ones is left out.
_MOST_VALUES = 1_000_000


def check_golden_examples(subject: Subject) -> Check:
    """Compare the server's answers to the golden examples with the checkpoint's: `golden-examples`.

    The first rows and their answers go into the attachment `golden.json`, for tests of model servers.
    """
    subject.attachments[GOLDEN] = encode_golden(subject)
    return _compare(
        "golden-examples",
        subject,
        subject.golden_examples,
        subject.golden_answers,
        lambda: subject.golden_answers_expected,
    )


def check_held_out_examples(subject: Subject) -> Check:
    """Compare answers to requests that training never saw with the checkpoint's: `held-out-examples`."""
    if not subject.held_out_examples:
        none = bool(subject.definition.lacks("evaluation_data"))
        raise CannotRun(
            "the definition has no evaluation data"
            if none
            else "evaluation features do not match the inputs of any signature",
            "Add held_out_examples, golden_examples or a reference to the definition, or waive the check:"
            " --waive held-out-examples=REASON.",
            excused=_other_witness(subject) if none else "",
        )
    return _compare(
        "held-out-examples",
        subject,
        subject.held_out_examples,
        subject.held_out_answers,
        lambda: subject.held_out_answers_expected,
    )


def _other_witness(subject: Subject) -> str:
    """Why a definition without data may pass: another check compares real answers; empty if none does."""
    if subject.resources.has_original:
        return "a recorded graph has no data; the check recorded-answers compares with the original graph"
    if subject.outside.uri:
        return "the definition only exports; the check reference-answers compares with an outside reference"
    if subject.definition.signatures.keys() <= subject.resources.own_examples.keys():
        return (
            "the definition only exports; the check golden-examples compares the definition's examples of"
            " each signature"
        )
    return ""


def _compare(
    name: str,
    subject: Subject,
    examples: Mapping[str, GoldenExamples],
    answers: Answers,
    ask_checkpoint: Callable[[], Answers],
) -> Check:
    tolerance = subject.definition.tolerance
    rows = sum(len(next(iter(example.inputs.values()))) for example in examples.values())
    expected = f"the same answers, floats within {tolerance:g}"
    try:
        expected_answers, (_, how) = ask_checkpoint(), subject.reference
    except CheckpointMismatch as err:
        return conclude(
            name,
            looked_at=str(subject.folder),
            expected="the checkpoint's own answers to compare with",
            found="",
            problems=[str(err)],
            advice="Validate with the definition and the checkpoint that the export was made from.",
        )
    problems, varying = list[str](), list[str]()
    for (signature, output), what in find_differences(expected_answers, answers, tolerance):
        request, first = examples[signature].inputs, answers[signature].get(output)
        place = f"signature {signature!r}, output {output!r}"
        if first is not None and _answers_varying(subject, signature, output, request, first):
            varying.append(f"; {place} is not compared: its answers vary, as stateful_ops declares")
        else:
            problems.append(f"{place}: {what}")
    return conclude(
        name,
        looked_at=f"the answers to {rows} requests, and those of {how}",
        expected=expected,
        found="".join(
            [f"the same; floats differ by {largest_error(expected_answers, answers):.3g} at most", *varying]
        ),
        problems=problems,
        advice=_ADVICE,
    )


def find_differences(
    expected: Answers, answers: Answers, tolerance: float
) -> Iterator[tuple[tuple[str, str], str]]:
    """Find the outputs whose answers differ.

    Args:
        expected: The checkpoint's own answers.
        answers: The server's answers.
        tolerance: How much floats may differ, absolute and relative.

    Yields:
        Signature and output, and how they differ.
    """
    for signature, outputs in expected.items():
        for output, want in outputs.items():
            got = answers[signature].get(output)
            if got is None or got.shape != want.shape or not _equal(want, got, tolerance):
                yield (signature, output), _format(want, got)


def _answers_varying(
    subject: Subject, signature: str, output: str, request: Mapping[str, np.ndarray], first: np.ndarray
) -> bool:
    """Whether an output samples or counts: it is declared to, and its answers vary."""
    if not declared_kinds(subject).get(signature):
        return False
    again = (subject.served.answer(signature, request)[output] for _ in range(_MOST_TIMES))
    return any(difference(first, answer, 0.0) for answer in again)


def _equal(want: np.ndarray, got: np.ndarray, tolerance: float) -> bool:
    if not is_float(want.dtype):
        return bool(np.array_equal(got, want))
    bound = max(tolerance, _ROUNDING.get(want.dtype.name, 0.0))
    return bool(np.allclose(_wide(got), _wide(want), rtol=bound, atol=bound, equal_nan=True))


def _format(want: np.ndarray, got: np.ndarray | None) -> str:
    if got is None:
        return "no such output"
    if got.shape != want.shape:
        return f"shape {list(got.shape)} instead of {list(want.shape)}"
    if is_float(want.dtype):
        return f"differs by up to {np.max(np.abs(_wide(got) - _wide(want))):.3g}"
    return f"{int(np.sum(got != want))} of {want.size} values differ"


def largest_error(expected: Answers, answers: Answers) -> float:
    """The largest difference between floats that should be equal; 0 if there are none."""
    differences = [
        float(np.nanmax(np.abs(_wide(answers[signature][output]) - _wide(want)), initial=0.0))
        for signature, outputs in expected.items()
        for output, want in outputs.items()
        if is_float(want.dtype)
        and output in answers[signature]
        and answers[signature][output].shape == want.shape
    ]
    return max(differences, default=0.0)


def _wide(array: np.ndarray) -> np.ndarray:
    return array if array.dtype.kind == "c" else np.asarray(array, np.float64)


def encode_golden(subject: Subject) -> str:
    """The content of `golden.json`: rows of the golden requests, and the C++ runtime's answers to them.

    A signature whose declared operations sample or count is left out: its answers differ each time.
    """
    signatures, varying = {}, declared_kinds(subject)
    for name, request in subject.golden_requests.items():
        rows = count_rows(request)
        sample = request if rows is None else take_rows(request, np.arange(min(rows, _ROWS)))
        if varying.get(name) or sum(value.size for value in sample.values()) > _MOST_VALUES:
            continue
        answer = subject.served.answer(name, sample)
        if sum(value.size for value in answer.values()) <= _MOST_VALUES:
            signatures[name] = {
                "inputs": {key: encode_values(value) for key, value in sample.items()},
                "outputs": {key: encode_values(value) for key, value in answer.items()},
            }
    content = {SCHEMA: ATTACHMENT_SCHEMA, "tolerance": subject.definition.tolerance, "signatures": signatures}
    return json.dumps(content, allow_nan=False)
