"""Does the C++ loader load the export, and does it answer golden and warm-up requests?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from redraw.checkpoint.bundle.dtypes import name_of_array, numpy_dtype
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.formats.tf_record import read_records
from redraw.records import Check
from redraw.records.signature import TensorSpec
from redraw.serving.errors import ServingFailure
from redraw.validate.outcome import CannotRun, conclude
from redraw.validate.subject.subject import Subject

if TYPE_CHECKING:
    import numpy as np

_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
_MOST_RECORDS = 1000  # a server refuses a file with more
_DEFAULT_SIGNATURE = "serving_default"


def check_loads(subject: Subject) -> Check:
    """Load the export as a server would, and send each signature its golden examples: the check `loads`."""
    summary = ""
    try:
        problems = [*_misfits(subject)]
        generated = subject.resources.generated_requests
        labels = {name: f"{name} (generated requests)" for name in generated}
        names = ", ".join(labels.get(name, name) for name in sorted(subject.golden_answers))
        summary = (
            f"loaded in {subject.served.load_seconds:.2f} s, {subject.served.sandbox}; answers from {names}"
        )
    except ServingFailure as err:
        problems = [str(err)]
    return conclude(
        "loads",
        looked_at=f"{subject.folder}, in a process of TensorFlow's C++ runtime",
        expected="the C++ loader loads the export with the tag 'serve', and each signature answers its golden"
        " examples (generated requests if there are none) with the declared outputs, dtypes and shapes",
        found=summary,
        problems=problems,
        advice="Export again. If the check fails again, correct the definition's serve. If a signature"
        " refuses a generated request, add golden_examples for it.",
    )


def _misfits(subject: Subject) -> Iterator[str]:
    """The outputs that differ from the definition's."""
    for name, answers in subject.golden_answers.items():
        promised = subject.definition.signatures[name].outputs
        for output in sorted(set(promised) | set(answers)):
            where = f"signature {name!r}, output {output!r}"
            if output not in answers or output not in promised:
                yield f"{where}: {'missing' if output in promised else 'not in the definition'}"
            elif not _fits(answers[output], promised[output]):
                got = f"{name_of_array(answers[output])} {list(answers[output].shape)}"
                yield f"{where}: expected {promised[output]}, got {got}"


def _fits(answer: np.ndarray, promised: TensorSpec) -> bool:
    sizes = zip(answer.shape, promised.shape, strict=False)
    return (
        answer.dtype == numpy_dtype(promised.dtype)
        and answer.ndim == len(promised.shape)
        and all(want in (None, got) for got, want in sizes)
    )


def check_warm_up(subject: Subject) -> Check:
    """Send every warm-up request as a server does before it takes traffic: the check `warm-up`.

    Source:
        https://github.com/tensorflow/serving/blob/2.19.1/tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc
    """
    path = subject.folder / _FILE
    count, problems = 0, list[str]()
    if path.exists():
        count, problems = _replay(subject, path)
    return conclude(
        "warm-up",
        looked_at=str(path),
        expected=f"at most {_MOST_RECORDS} intact records, each with a request that the model answers",
        found=f"{count} requests, each answered" if count else "no warm-up requests: a server starts cold",
        problems=problems,
        advice="A server would not load this version. Export again: the export writes new warm-up requests"
        " from the golden examples.",
    )


def _replay(subject: Subject, path: Path) -> tuple[int, list[str]]:
    count, problems = 0, list[str]()
    try:
        for count, record in enumerate(itertools.islice(read_records(path), _MOST_RECORDS + 1), start=1):
            if count > _MOST_RECORDS:
                return count, [*problems, f"more than {_MOST_RECORDS} records"]
            try:
                for signature, inputs in _requests(record):
                    subject.served.answer(signature, inputs)
            except (ServingFailure, DecodeError, ValueError, TypeError) as err:
                problems.append(f"record {count}: {err}")
    except MalformedError as err:
        problems.append(f"after {count} intact records: {err}")
    return count, problems


def _requests(record: bytes) -> Iterator[tuple[str, Mapping[str, np.ndarray]]]:
    """The requests of a `PredictionLog`."""
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog.FromString(record)
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        yield _predict(log.predict_log.request)
    elif kind == "predict_streamed_log":
        yield from map(_predict, log.predict_streamed_log.request)
    elif kind in ("classify_log", "regress_log"):
        yield _of_examples(getattr(log, kind).request)
    else:
        raise CannotRun(
            f"the warm-up file has a record of kind {kind}, and only Predict, Classify and Regress requests"
            " can be sent",
            "Record Predict, Classify or Regress requests.",
        )


def _predict(request: Any) -> tuple[str, Mapping[str, np.ndarray]]:
    import tensorflow as tf

    inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
    return request.model_spec.signature_name or _DEFAULT_SIGNATURE, inputs


def _of_examples(request: Any) -> tuple[str, Mapping[str, np.ndarray]]:
    """A request of `tf.Example`s, which a server passes to the model as serialized strings in `inputs`."""
    examples = [example.SerializeToString() for example in request.input.example_list.examples]
    strings = np.array(examples, dtype=object)
    return request.model_spec.signature_name or _DEFAULT_SIGNATURE, {"inputs": strings}
