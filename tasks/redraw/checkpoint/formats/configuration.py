"""Read a model's configuration and vocabularies from its checkpoint's files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.messages import SavedMetadata, parse_message
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.records.json_text import parse_json

_METADATA = "keras_metadata.pb"
_LARGEST, _DEEPEST = 16 << 20, 200


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A model as its file describes it. It is not trusted: no model is built from it.

    Attributes:
        model: The `class_name` and `config` that Keras writes.
        keras_2: Whether Keras 2 wrote it.
        vocabularies: Layer's name to its words, if they are not in the configuration.
        other_assets: Files next to it that only the code of layers reads.
    """

    model: Mapping[str, Any]
    keras_2: bool
    vocabularies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    other_assets: Sequence[str] = ()


def read_configuration(source: CheckpointSource) -> Configuration | None:
    """Read the configuration that came with the weights.

    Returns:
        The configuration; None if the files have none.

    Raises:
        CheckpointCorrupt: It is damaged.
        StorageError: The bucket cannot be read.
    """
    # The other formats do not wait for the libraries that one imports.
    if source.format == "keras":
        return _of_archive(source)
    if source.format == "keras_h5":
        return _of_hdf5(source)
    return _of_saved_model(source)


def _of_archive(source: Any) -> Configuration | None:
    if not _is_model(source.config):
        return None
    keras_2 = _is_keras_2(source.keras_version, source.config)
    return Configuration(
        model=source.config,
        keras_2=keras_2,
        vocabularies=source.vocabularies(),
        other_assets=source.other_assets(),
    )


def _of_hdf5(source: Any) -> Configuration | None:
    text, version = source.attribute("model_config"), source.attribute("keras_version")
    config = _parse(text, source.uri) if text else None
    return Configuration(model=config, keras_2=_is_keras_2(version, config)) if _is_model(config) else None


def _of_saved_model(source: Any) -> Configuration | None:
    content = source.neighbour(_METADATA, _LARGEST) if hasattr(source, "neighbour") else None
    if content is None:
        return None
    try:
        nodes = parse_message(SavedMetadata, content).nodes
    except MalformedError as err:
        raise err.found_in(source.uri, _METADATA) from err
    root = next((node for node in nodes if node.node_id == 0), None)
    config = _parse(root.metadata, source.uri) if root is not None else None
    return Configuration(model=config, keras_2=True) if _is_model(config) else None


def _parse(text: str | bytes, uri: str) -> Any:
    try:
        return parse_json(text, _LARGEST, _DEEPEST)
    except ValueError as err:
        raise MalformedError("a model's configuration in JSON", str(err)[:100]).found_in(uri) from err


def _is_model(config: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(config, dict) and "class_name" in config and "config" in config


def _is_keras_2(version: str | None, config: object) -> bool:
    """Tell by the version that wrote it or, if none is stated, by a key that each input layer has."""
    if version:
        return version.startswith(("0.", "1.", "2."))
    return '"batch_input_shape"' in json.dumps(config)
