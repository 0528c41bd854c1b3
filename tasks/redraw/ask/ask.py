"""Ask a published version: the answer of TensorFlow's C++ runtime to one request.

    bucket ── cache.py ──► local folder ──► TensorFlow's C++ runtime, in a process of its own
    JSON ──── values.py ─► tensors ────────►┘ ──► tensors ── values.py ──► JSON

`examples.py` makes an example request. Nothing here imports TensorFlow's Python: an answer takes about a
second.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from redraw.ask.cache import CachedVersion, cached_version
from redraw.ask.examples import example_requests
from redraw.definition.registry import declared_ops
from redraw.errors import InvalidRequest, NotAnswered, NotLoadable
from redraw.publish.bucket.verified import read_verified
from redraw.records import Release
from redraw.records.results import Answer
from redraw.requests import AskRequest
from redraw.serving import LoadedModel, LoadFailed, RequestRefused, ServingCrashed, ServingProcess
from redraw.serving.errors import SandboxMissing
from redraw.serving.values import decode_inputs, encode_outputs
from redraw.storage.opening import open_storage

_logger = logging.getLogger(__name__)


def ask_version(request: AskRequest) -> Answer:
    """Download a published version, load it as a server does, and send it one request.

    Args:
        request: The version, and the inputs.

    Returns:
        Its answer, and how long it took.

    Raises:
        InvalidRequest: There is no such signature, or the inputs do not fit it.
        VersionNotFound: The version was never published, or is pruned.
        ObjectConflict: Its objects have changed since it was published.
        NotLoadable: TensorFlow's C++ loader refuses it.
        NotAnswered: It refused the request, crashed, or took too long.
        StorageError: The bucket cannot be read.
    """
    storage = open_storage(request.bucket)
    release, _ = read_verified(storage, request.model, request.version)
    values = request.inputs
    if values is None:
        values = example_requests(storage, release).get(request.signature, {})
    inputs = _read_inputs(release, request.signature, values)
    cache = Path(request.cache) if request.cache else None
    # The process starts while the version is downloaded.
    with ServingProcess(
        request_seconds=request.seconds, load_seconds=request.seconds, demand_sandbox=True
    ) as serving:
        with cached_version(storage, release, cache) as version:
            model = _load(serving, version)
        outputs, seconds = _answer(model, release, request.signature, inputs)
    _logger.info("%s answered %r in %.3f s", release.uri, request.signature, seconds)
    return Answer(
        model=release.model,
        version=release.version,
        uri=release.uri,
        signature=request.signature,
        inputs=values,
        outputs=encode_outputs(release.uri, outputs),
        seconds=seconds,
        load_seconds=model.load_seconds,
        fetched=version.fetched,
    )


def _read_inputs(release: Release, signature: str, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    where = f"{release.uri}, signature {signature!r}"
    if signature not in release.signatures:
        names = ", ".join(sorted(release.signatures))
        raise InvalidRequest(f"{where}: expected one of {names}. Correct the request.")
    return decode_inputs(where, release.signatures[signature], values)


def _load(serving: ServingProcess, version: CachedVersion) -> LoadedModel:
    release = version.release
    try:
        return serving.load(
            version.folder, declared=lambda: declared_ops(release.model, release.checkpoint.trained_at)
        )
    except SandboxMissing as err:
        raise NotLoadable(
            f"{release.uri}: cannot load the model safely, because this machine has no sandbox ({err}). Use"
            " a machine whose kernel has Landlock or lets users create namespaces, or send the request to"
            " a model server."
        ) from err
    except (LoadFailed, ServingCrashed) as err:
        raise NotLoadable(
            f"{version.release.uri}: TensorFlow's C++ loader cannot load this version: {err}. Choose"
            " another version."
        ) from err


def _answer(
    model: LoadedModel, release: Release, signature: str, inputs: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], float]:
    started = time.perf_counter()
    try:
        return model.answer(signature, inputs), time.perf_counter() - started
    except (RequestRefused, ServingCrashed) as err:
        raise NotAnswered(
            f"{release.uri}, signature {signature!r}: expected an answer, got: {err}. Change the request."
        ) from err
