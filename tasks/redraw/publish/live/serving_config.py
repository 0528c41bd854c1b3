"""The live pointer in the words of TensorFlow Serving: `--model_config_file`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from redraw.errors import InvalidRecord, StorageUnavailable
from redraw.publish.bucket.layout import serving_config_name
from redraw.records import LivePointer
from redraw.storage.opening import AlreadyThere, Changed, Storage
from redraw.storage.pause import pauses

__all__ = ["encode_serving_config", "read_served_versions", "write_serving_config"]


def write_serving_config(storage: Storage, model: str, pointer: Callable[[], LivePointer]) -> None:
    """Bring `models.config` up to the live pointer.

    The pointer is read after the object that will be replaced: anyone who writes an older
    version is then refused, or followed by the one who moved the pointer after it.

    Args:
        storage: The model bucket.
        model: The definition's name.
        pointer: Reads the live pointer.

    Raises:
        StorageUnavailable: Others kept changing the object.
    """
    name = serving_config_name(model)
    for pause in pauses():
        found = storage.read_with_generation(name)
        labels = pointer().labels
        if not labels:
            return
        content = encode_serving_config(f"{storage.uri}/{model}", model, labels)
        try:
            if found is None:
                storage.create(name, content)
            elif found[0] != content:
                storage.replace(name, content, found[1])
            return
        except (AlreadyThere, Changed):
            pause()
    raise StorageUnavailable(
        f"{storage.uri}/{name}: expected to change it, got a change by others each time."
        " Find out who keeps moving the pointer, and run it again."
    )


def read_served_versions(storage: Storage, model: str) -> frozenset[int]:
    """The versions that `models.config` has servers load; none if there is no such object.

    Args:
        storage: The model bucket.
        model: The definition's name.

    Raises:
        InvalidRecord: The object is no configuration.
        StorageError: The bucket does not answer.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    name = serving_config_name(model)
    config = ModelServerConfig()
    try:
        text_format.Parse(storage.read(name) or b"", config)
    except (text_format.ParseError, UnicodeDecodeError) as err:
        raise InvalidRecord(
            f"{storage.uri}/{name}: expected TensorFlow Serving's ModelServerConfig as text, got {err}."
            f" Write it again: redraw live --model {model} --set the live version."
        ) from err
    return frozenset(
        version
        for served in config.model_config_list.config
        for version in served.model_version_policy.specific.versions
    )


def encode_serving_config(base_path: str, model: str, labels: Mapping[str, int]) -> bytes:
    """The content of `models.config`: only the labelled versions are loaded, and answer to their labels.

    Source:
        https://www.tensorflow.org/tfx/serving/serving_config#assigning_string_labels_to_model_versions_to_simplify_canary_and_rollback
    """
    # This module alone is free of TensorFlow: tensorflow_serving.apis imports it.
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    config = ModelServerConfig()
    served = config.model_config_list.config.add(name=model, base_path=base_path, model_platform="tensorflow")
    served.model_version_policy.specific.versions.extend(sorted(set(labels.values())))
    for label, version in sorted(labels.items()):
        served.version_labels[label] = version
    return str(text_format.MessageToString(config)).encode()
