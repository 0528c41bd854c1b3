"""Keep a folder that a model server reads as the live pointers say: for a server that cannot read the bucket.

    <out>/<model>/<version>/   whole versions alone, each under its number from one moment to the next
    <out>/models.config        every model's `models.config` in one, with the paths of this folder

Run again and again, it follows the bucket: first the versions come, then the configuration
that names them, and what the configuration named no more at the run before goes last, so
that a server that reads the configuration late still finds what it names.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from redraw.definition.registry import list_models
from redraw.errors import InvalidRecord, VersionNotFound
from redraw.names import ModelName
from redraw.publish.bucket.layout import serving_config_name, version_folder
from redraw.records.results import MirroredModel, MirrorReport
from redraw.requests import MirrorRequest
from redraw.storage.files import PARTIAL_SUFFIX, partial_path, write_atomically, writing_to
from redraw.storage.opening import Storage, download_tree, open_storage

if TYPE_CHECKING:
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

__all__ = ["mirror_versions"]

_CONFIG = "models.config"
_GRAPH = "saved_model.pb"

_logger = logging.getLogger(__name__)


def mirror_versions(request: MirrorRequest) -> MirrorReport:
    """Bring a folder up to the versions that `models.config` names, and write the folder's own.

    Args:
        request: The bucket, the folder, and the models (default: all with a definition).

    Returns:
        The versions that the folder has of each model with a live version, and which came now.

    Raises:
        VersionNotFound: A configuration names a version that the bucket has not.
        InvalidRecord: What the bucket, or the folder, has for a configuration is none.
        StorageError: The bucket cannot be read.
        DiskFull: There is no room for a version.
    """
    storage, out = open_storage(request.bucket), Path(request.out)
    names = request.model or tuple(ModelName(found.name) for found in list_models())
    config, mirrored = _parsed(b"", ""), []
    for model in names:
        served = _live_config(storage, model)
        versions = _versions(served).get(model, ())
        if not versions:
            continue
        fetched = tuple(version for version in versions if _fetch(storage, model, version, out))
        for entry in served.model_config_list.config:
            entry.base_path = os.fspath(out.absolute() / entry.name)
        config.MergeFrom(served)
        mirrored.append(MirroredModel(model=model, versions=versions, fetched=fetched))
    _replace_config(out, config)
    return MirrorReport(out=os.fspath(out), models=tuple(mirrored))


def _live_config(storage: Storage, model: str) -> ModelServerConfig:
    name = serving_config_name(model)
    return _parsed(storage.read(name) or b"", f"{storage.uri}/{name}")


def _parsed(content: bytes, where: str) -> ModelServerConfig:
    # This module alone is free of TensorFlow: tensorflow_serving.apis imports it.
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    config = ModelServerConfig()
    try:
        text_format.Parse(content, config)
    except (text_format.ParseError, UnicodeDecodeError) as err:
        raise InvalidRecord(
            f"{where}: expected TensorFlow Serving's ModelServerConfig as text, got {err}."
            " Make the live version live again: that writes it again."
        ) from err
    return config


def _versions(config: ModelServerConfig) -> dict[str, tuple[int, ...]]:
    """Model to the versions that the configuration names."""
    return {
        entry.name: tuple(entry.model_version_policy.specific.versions)
        for entry in config.model_config_list.config
    }


def _fetch(storage: Storage, model: str, version: int, out: Path) -> bool:
    """Copy a version, unless it is there: what is published never changes. Says whether it did."""
    source, target = version_folder(model, version), out / model / str(version)
    if target.exists():
        return False
    partial = partial_path(target)
    with writing_to(partial):
        try:
            objects = download_tree(storage, source, partial)
            if not any(item.name == f"{source}/{_GRAPH}" for item in objects):
                raise VersionNotFound(
                    f"{storage.uri}/{source}: expected a published version, got {len(objects)} objects and"
                    f" no {_GRAPH}. Make another version live."
                )
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    _logger.info("mirrored %s/%s to %s", storage.uri, source, target)
    return True


def _replace_config(out: Path, config: ModelServerConfig) -> None:
    """Write the folder's configuration, and remove the versions that neither it nor the one before names."""
    from google.protobuf import text_format

    path = out / _CONFIG
    before = path.read_bytes() if path.exists() else b""
    kept, was = _versions(config), _versions(_parsed(before, os.fspath(path)))
    # A server refuses a configuration that holds no list; an empty list it takes.
    config.model_config_list.SetInParent()
    content = text_format.MessageToString(config).encode()
    if content != before or not path.exists():
        with writing_to(path):
            out.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
    named = {(model, version) for config in (kept, was) for model in config for version in config[model]}
    _sweep(out, named)


def _sweep(out: Path, named: set[tuple[str, int]]) -> None:
    """Remove versions that are not named, and what a mirror that was killed left half of."""
    for folder in out.glob("*/*"):
        model, name = folder.parent.name, folder.name
        if name.isdecimal() and (model, int(name)) not in named:
            shutil.rmtree(folder)
            _logger.info("removed %s, which is served no more", folder)
        elif name.endswith(PARTIAL_SUFFIX):
            shutil.rmtree(folder)
