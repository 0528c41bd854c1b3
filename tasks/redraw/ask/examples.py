"""A first request for each signature of a published version: what somebody who tries it starts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from redraw.ask.values import encode_values
from redraw.checkpoint.bundle.dtypes import dtype_number
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import decode_text
from redraw.checkpoint.bundle.messages import PredictionLog, parse_message
from redraw.checkpoint.formats.tf_record import read_records
from redraw.publish.bucket.layout import version_folder
from redraw.records import Release, Signature, TensorSpec
from redraw.storage.opening import Absent, Storage

__all__ = ["example_requests"]

_FILE = "assets.extra/tf_serving_warmup_requests"
_DEFAULT_SIGNATURE = "serving_default"
# The golden examples of images are a few hundred kB; what is behind this many bytes is left unread.
_MOST_BYTES = 8 << 20

Inputs = Mapping[str, Any]


def example_requests(storage: Storage, release: Release) -> dict[str, Inputs]:
    """One request a signature: the first row of its first warm-up request, or zeros without one.

    Args:
        storage: The model bucket.
        release: The version's record.

    Returns:
        Signature name to its inputs, as JSON values.

    Raises:
        StorageError: The bucket cannot be read.
    """
    recorded: dict[str, Inputs] = {}
    for name, inputs in _recorded(storage, release):
        recorded.setdefault(name, inputs)
    return {
        name: recorded.get(name) or _zeros(signature)
        for name, signature in sorted(release.signatures.items())
    }


def _recorded(storage: Storage, release: Release) -> Iterator[tuple[str, Inputs]]:
    name = f"{version_folder(release.model, release.version)}/{_FILE}"
    try:
        content = storage.read_range(name, 0, _MOST_BYTES)
    except Absent:
        return
    try:
        for record in read_records(content):
            request = parse_message(PredictionLog, record).predict_log.request
            signature = decode_text(request.model_spec.signature_name) or _DEFAULT_SIGNATURE
            if inputs := _first_row(release.signatures.get(signature), request):
                yield signature, inputs
    except MalformedError:
        return  # cut off where reading stopped, or damaged: those before it are as good


def _first_row(signature: Signature | None, request: Any) -> Inputs | None:
    """The inputs that a record holds; None where they are not those of the signature."""
    given = {decode_text(entry.key): entry.value for entry in request.inputs}
    if signature is None or set(given) != set(signature.inputs):
        return None
    rows = {name: _row(signature.inputs[name], value) for name, value in given.items()}
    return None if None in rows.values() else rows


def _row(spec: TensorSpec, tensor: bytes) -> Any:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.util.tensor_util import make_ndarray

    try:
        parsed = TensorProto.FromString(tensor)
        if parsed.dtype != dtype_number(spec.dtype):
            return None
        array = make_ndarray(parsed)
    except (DecodeError, KeyError, TypeError, ValueError):
        return None
    batched = bool(spec.shape) and spec.shape[0] is None
    return encode_values(array[:1] if batched and array.ndim else array)


def _zeros(signature: Signature) -> Inputs:
    return {name: _blank(spec) for name, spec in signature.inputs.items()}


def _blank(spec: TensorSpec) -> Any:
    value: Any = "" if spec.dtype == "string" else False if spec.dtype == "bool" else 0
    blank = np.full([1 if size is None else size for size in spec.shape], value, dtype=object)
    return blank.tolist()
