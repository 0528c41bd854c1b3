"""An example request for each signature of a published version.

Warm-up requests in a bucket are untrusted: pages run this in a process with limits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from redraw.checkpoint.bundle.dtypes import name_of_array
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import decode_text
from redraw.checkpoint.bundle.messages import PredictionLog, parse_message
from redraw.checkpoint.formats.tf_record import read_records
from redraw.publish.bucket.layout import version_folder
from redraw.publish.bucket.verified import read_verified
from redraw.records import Release, Signature, TensorSpec
from redraw.records.results import ExampleRequest, ExampleRequests
from redraw.requests import ExamplesRequest
from redraw.serving.sandbox.probe import probe_sandbox
from redraw.serving.tensor_proto import read_tensor_proto
from redraw.serving.values import encode_values
from redraw.storage.opening import Absent, Storage, open_storage

_FILE = "assets.extra/tf_serving_warmup_requests"
_DEFAULT_SIGNATURE = "serving_default"
# How many bytes of the file are read; the golden examples of images are a few hundred kB.
_MOST_BYTES = 8 << 20
# Limit for an example that people edit on a page; a tensor of a few bytes can declare any shape.
_MOST_ELEMENTS = 1 << 20
_MOST_RECORDS = 1000

Inputs = Mapping[str, Any]


def show_examples(request: ExamplesRequest) -> ExampleRequests:
    """Show the inputs and outputs of each signature of a published version, and an example request.

    Returns:
        The signatures, and whether this machine has a sandbox to run the version in.

    Raises:
        VersionNotFound: The version was never published, or is pruned.
        ObjectConflict: Its records have changed since it was published.
        StorageError: The bucket cannot be read.
    """
    storage = open_storage(request.bucket)
    release, _ = read_verified(storage, request.model, request.version)
    examples = example_requests(storage, release)
    sandbox = probe_sandbox()
    return ExampleRequests(
        model=release.model,
        version=release.version,
        uri=release.uri,
        signatures={
            name: ExampleRequest(signature.inputs, signature.outputs, examples[name])
            for name, signature in sorted(release.signatures.items())
        },
        can_be_asked=sandbox.hides_files,
        sandbox=str(sandbox),
    )


def example_requests(storage: Storage, release: Release) -> dict[str, Inputs]:
    """One request for each signature: the first row of its first warm-up request, or zeros if it has none.

    Inputs of more than a million elements have no example.

    Returns:
        Signature name to its inputs, as JSON values.

    Raises:
        StorageError: The bucket cannot be read.
    """
    recorded: dict[str, Inputs] = {}
    for name, inputs in _recorded(storage, release):
        recorded.setdefault(name, inputs)
    return {
        name: recorded.get(name) or _zeros(signature) or {}
        for name, signature in sorted(release.signatures.items())
    }


def _recorded(storage: Storage, release: Release) -> Iterator[tuple[str, Inputs]]:
    name = f"{version_folder(release.model, release.version)}/{_FILE}"
    try:
        content = storage.read_range(name, 0, _MOST_BYTES)
    except Absent:
        return
    try:
        for record in itertools.islice(read_records(content), _MOST_RECORDS):
            request = parse_message(PredictionLog, record).predict_log.request
            signature = decode_text(request.model_spec.signature_name) or _DEFAULT_SIGNATURE
            if inputs := _first_row(release.signatures.get(signature), request):
                yield signature, inputs
    except MalformedError:
        return  # the file is cut at the limit, or damaged: the records before are usable


def _first_row(signature: Signature | None, request: Any) -> Inputs | None:
    """The inputs of a recorded request; None if they are not those of the signature."""
    tensors = {decode_text(entry.key): entry.value for entry in request.inputs}
    if signature is None or set(tensors) != set(signature.inputs):
        return None
    rows = {name: _row(signature.inputs[name], value) for name, value in tensors.items()}
    return None if None in rows.values() else rows


def _row(spec: TensorSpec, tensor: bytes) -> Any:
    try:
        array = read_tensor_proto(tensor, _MOST_ELEMENTS)
    except MalformedError:
        return None
    if name_of_array(array) != spec.dtype:
        return None
    batched = bool(spec.shape) and spec.shape[0] is None
    return encode_values(array[:1] if batched and array.ndim else array)


def _zeros(signature: Signature) -> Inputs | None:
    """A request of zeros; None if it is too large for a page."""
    shapes = {
        name: [1 if size is None else size for size in spec.shape] for name, spec in signature.inputs.items()
    }
    if sum(map(math.prod, shapes.values())) > _MOST_ELEMENTS:
        return None
    return {name: _blank(spec.dtype, shapes[name]) for name, spec in signature.inputs.items()}


def _blank(dtype: str, shape: list[int]) -> Any:
    value: Any = "" if dtype == "string" else False if dtype == "bool" else 0
    return np.full(shape, value, dtype=object).tolist()
