"""The live pointer as configuration of TensorFlow Serving (`--model_config_file`), KServe and Helm."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from redraw.errors import InvalidRecord, StorageUnavailable
from redraw.publish.bucket.layout import deployment_names, read_release, serving_config_name
from redraw.publish.passport.deployment import encode_helm_values, encode_inference_service
from redraw.records import LivePointer
from redraw.settings import PASSPORT
from redraw.storage.opening import AlreadyThere, Changed, Storage
from redraw.storage.pause import pauses

if TYPE_CHECKING:
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

_logger = logging.getLogger(__name__)


def write_serving_config(storage: Storage, model: str, pointer: Callable[[], LivePointer]) -> None:
    """Update `models.config`, and the live version's deployments for KServe and Helm, to the live pointer.

    The pointer is read after the objects that will be replaced: so a writer with an older pointer is refused,
    or the process that moved the pointer writes after it.

    Raises:
        StorageUnavailable: Others kept changing one of the objects.
    """
    names = (serving_config_name(model), *deployment_names(model))
    for pause in pauses():
        stored = {name: storage.read_with_generation(name) for name in names}
        contents = _contents(storage, pointer())
        try:
            for name, content in contents.items():
                _bring_up_to(storage, name, content, stored[name])
            return
        except (AlreadyThere, Changed):
            pause()
    raise StorageUnavailable(
        f"{storage.uri}/{names[0]}: could not write it and the deployment files, because another process"
        " changed the pointer on every try. Wait until that process ends, then run the same command again."
    )


def _contents(storage: Storage, pointer: LivePointer) -> dict[str, bytes]:
    """Object to content, `models.config` first; without deployments if there is no release record."""
    model, labels = pointer.model, pointer.labels
    if not labels:
        return {}
    contents = {serving_config_name(model): encode_serving_config(f"{storage.uri}/{model}", model, labels)}
    try:
        release = None if pointer.version is None else read_release(storage, model, pointer.version)
    except InvalidRecord as err:
        _logger.warning("%s/%s: its deployments stay as they are: %s", storage.uri, model, err)
        release = None
    if release is not None:
        encoded = encode_inference_service(release), encode_helm_values(release)
        contents |= zip(deployment_names(model), map(str.encode, encoded), strict=True)
    return contents


def _bring_up_to(storage: Storage, name: str, content: bytes, stored: tuple[bytes, int] | None) -> None:
    if stored is not None and stored[0] != content:
        storage.replace(name, content, stored[1])
    # If passports are off, no deployment is created, but an existing one is kept up to date.
    elif stored is None and (PASSPORT.read() or not name.endswith(".yaml")):
        storage.create(name, content)


def read_served_versions(storage: Storage, model: str) -> frozenset[int]:
    """The versions that `models.config` tells servers to load; none if there is no such object.

    Raises:
        InvalidRecord: The object is no configuration.
        StorageError: The bucket does not answer.
    """
    return frozenset(
        version
        for served in _read_config(storage, model).model_config_list.config
        for version in served.model_version_policy.specific.versions
    )


def read_served_labels(storage: Storage, model: str) -> dict[str, int]:
    """Label to version in `models.config`; empty if there is no such object.

    Raises:
        InvalidRecord: The object is no configuration.
        StorageError: The bucket does not answer.
    """
    return {
        label: version
        for served in _read_config(storage, model).model_config_list.config
        for label, version in served.version_labels.items()
        if served.name == model
    }


def _read_config(storage: Storage, model: str) -> ModelServerConfig:
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    name = serving_config_name(model)
    config = ModelServerConfig()
    try:
        text_format.Parse(storage.read(name) or b"", config)
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as err:
        raise InvalidRecord(
            f"{storage.uri}/{name}: expected TensorFlow Serving's ModelServerConfig as text, got {err}. To"
            f" write the file again, set the live version again: redraw live --model {model} --set VERSION."
        ) from err
    return config


def encode_serving_config(base_path: str, model: str, labels: Mapping[str, int]) -> bytes:
    """The content of `models.config`: servers load only the labelled versions, under their labels.

    Source:
        https://www.tensorflow.org/tfx/serving/serving_config#assigning_string_labels_to_model_versions_to_simplify_canary_and_rollback
    """
    # `tensorflow_serving.config` does not import TensorFlow; `tensorflow_serving.apis` does.
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    config = ModelServerConfig()
    served = config.model_config_list.config.add(name=model, base_path=base_path, model_platform="tensorflow")
    served.model_version_policy.specific.versions.extend(sorted(set(labels.values())))
    for label, version in sorted(labels.items()):
        served.version_labels[label] = version
    return str(text_format.MessageToString(config)).encode()
