"""Mirror the live versions of a bucket to a folder, for model servers that cannot read the bucket.

    <out>/<model>/<version>/            a complete version, which appears in one rename; with `model.sig` if
                                        it is signed
    <out>/<model>/passport/<version>/   the version's passport; servers ignore it
    <out>/models.config                 every model's `models.config` in one, with the paths of this folder

Each run follows the bucket: it writes the versions first, then the configuration that names them. Last it
removes versions that neither this configuration nor the one before names, so that a server that reads an old
configuration still finds its versions.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from redraw.definition.registry import list_models
from redraw.errors import (
    DiskFull,
    ObjectConflict,
    OutputExists,
    RedrawError,
    StorageUnavailable,
    VerificationFailed,
    short_list,
)
from redraw.names import ModelName
from redraw.publish.bucket.attachments import read_attachment
from redraw.publish.bucket.layout import Claim
from redraw.publish.bucket.verified import fetch_verified, read_verified
from redraw.publish.live.pointer import read_pointer
from redraw.publish.live.serving_config import encode_serving_config
from redraw.publish.passport.passport import list_passport
from redraw.records import Release
from redraw.records.files import SIGNATURE_FILE
from redraw.records.results import MirroredModel, MirrorReport
from redraw.requests import MirrorRequest
from redraw.storage.files import (
    PARTIAL_SUFFIX,
    partial_path,
    scan_file,
    scan_tree,
    write_atomically,
    writing_to,
)
from redraw.storage.opening import Storage, open_storage

if TYPE_CHECKING:
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

_CONFIG, _PASSPORTS = "models.config", "passport"
# The modification time of verified files: 1980-01-01, in seconds.
_MARK = 315_532_800
# The folder of a version that is being downloaded.
_PARTIAL = re.compile(rf"\.[0-9]+\.[0-9a-f]{{32}}{re.escape(PARTIAL_SUFFIX)}")

_logger = logging.getLogger(__name__)


def mirror_versions(request: MirrorRequest) -> MirrorReport:
    """Update a folder to the live pointers of a bucket, and write its configuration.

    Each version is verified when it is downloaded, and its records at each run. A version whose files changed
    in the folder is downloaded again. With `verify_all` every byte in the folder is read again. A model with
    an error keeps its versions, and does not delay other models.

    Args:
        request: The bucket, the folder, and the models (default: all with a definition).

    Returns:
        The versions in the folder of each model with a live version, and which of them are new.

    Raises:
        VerificationFailed: Some models have errors; the message names each.
        StorageUnavailable: The storage did not answer.
        DiskFull: There is no room for a version.
        OutputExists: The folder has a `models.config` that no mirror wrote.
    """
    storage, out = open_storage(request.bucket), Path(request.out)
    names = request.model or tuple(ModelName(model.name) for model in list_models())
    before, config = _read_config(out / _CONFIG), _new_config()
    mirrored, problems = [], list[str]()
    for model in names:
        try:
            labels = read_pointer(storage, model).labels
            versions = tuple(sorted(set(labels.values())))
            fetched = tuple(
                version
                for version in versions
                if _fetch(storage, model, version, out, verify_all=request.verify_all)
            )
        except (StorageUnavailable, DiskFull):
            raise
        except RedrawError as err:
            problems.append(str(err))
            _keep(config, before, model, out)
            continue
        if versions:
            base_path = os.fspath(out.absolute() / model)
            config.MergeFrom(_read_text(encode_serving_config(base_path, model, labels)))
            mirrored.append(MirroredModel(model=model, versions=versions, fetched=fetched))
    _replace_config(out, config, before)
    if problems:
        raise VerificationFailed(
            f"{storage.uri}: {len(problems)} of {len(names)} models could not be mirrored, and are served"
            f" as before: {' '.join(problems)}"
        )
    return MirrorReport(out=os.fspath(out), models=tuple(mirrored))


def _new_config() -> ModelServerConfig:
    # `tensorflow_serving.config` does not import TensorFlow; `tensorflow_serving.apis` does.
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    return ModelServerConfig()


def _read_text(content: bytes) -> ModelServerConfig:
    from google.protobuf import text_format

    return text_format.Parse(content, _new_config())


def _read_config(path: Path) -> ModelServerConfig:
    """The configuration that the last run wrote; an empty one if it is damaged.

    Raises:
        OutputExists: Another program wrote it, and its server would lose its models.
    """
    from google.protobuf import text_format

    try:
        config = _read_text(path.read_bytes())
        foreign = [
            entry.name
            for entry in config.model_config_list.config
            if not entry.model_version_policy.specific.versions
        ]
        if foreign or config.HasField("custom_model_config"):
            raise OutputExists(
                f"{path}: expected no file, or a file that 'redraw mirror' wrote, got another file"
                f" ({short_list(foreign, 'models', 10) or 'a custom_model_config'}). Choose another --out."
            )
        return config
    except FileNotFoundError:
        return _new_config()
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as err:
        _logger.warning("%s is damaged, and is written again: %s", path, err)
        return _new_config()


def _keep(config: ModelServerConfig, before: ModelServerConfig, model: str, out: Path) -> None:
    """Keep the last run's entry of a model if its versions are still in the folder."""
    for entry in before.model_config_list.config:
        versions = entry.model_version_policy.specific.versions
        if entry.name == model and all((out / model / str(version)).is_dir() for version in versions):
            config.model_config_list.config.add().CopyFrom(entry)


def _versions(config: ModelServerConfig) -> set[tuple[str, int]]:
    return {
        (entry.name, version)
        for entry in config.model_config_list.config
        for version in entry.model_version_policy.specific.versions
    }


def _fetch(storage: Storage, model: ModelName, version: int, out: Path, *, verify_all: bool) -> bool:
    """Download a version, unless the folder has it as it was published; returns whether it did."""
    target = out / model / str(version)
    release, claim = read_verified(storage, model, version)
    is_current = _is_current(target, release, claim, verify_all=verify_all)
    if not is_current:
        _fetch_files(storage, release, target)
    _carry_passport(storage, release, target)
    return not is_current


def _fetch_files(storage: Storage, release: Release, target: Path) -> None:
    partial = partial_path(target)
    with writing_to(partial):
        try:
            fetch_verified(storage, release.model, release.version, partial)
            _mark(partial)
            _remove(target)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    _logger.info("mirrored %s to %s", release.uri, target)


def _carry_passport(storage: Storage, release: Release, target: Path) -> None:
    """Download a version's signature and passport; a file that is not what was published is left out."""
    folder = target.parent / _PASSPORTS / target.name
    for name in (SIGNATURE_FILE, *list_passport(release)):
        path = (target if name == SIGNATURE_FILE else folder) / name
        entry = release.attachments.get(name)
        if entry is None or (path.is_file() and scan_file(path, name).sha256 == entry.sha256):
            continue
        try:
            content = read_attachment(storage, release, name)
        except ObjectConflict as err:
            _logger.warning("not mirrored: %s", err)
            content = None
        with writing_to(path):
            _remove(path)
            if content is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, content)


def _is_current(folder: Path, release: Release, claim: Claim, *, verify_all: bool) -> bool:
    """Whether the folder has a version as it was published.

    Its bytes are read only if a file's size or time has changed, or with `verify_all`.
    """
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        marked = {entry.name: (entry.size, _MARK) for entry in claim.manifest}
        if not verify_all and _files(folder) == marked:
            return True
        if scan_tree(folder).digest == release.digest:
            _mark(folder)
            return True
    except (OSError, RedrawError) as err:
        _logger.warning("%s cannot be read: %s", folder, err)
    _logger.warning("%s is not what was published, and is fetched again", folder)
    return False


def _mark(folder: Path) -> None:
    """Give verified files a fixed modification time, so that later changes show."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (_MARK, _MARK))


def _files(folder: Path) -> dict[str, tuple[int, float]]:
    """Name to size and modification time, without following links, and without the signature."""
    stats = {path: path.lstat() for path in folder.rglob("*") if path != folder / SIGNATURE_FILE}
    return {
        path.relative_to(folder).as_posix(): (status.st_size, status.st_mtime)
        for path, status in stats.items()
        if not stat.S_ISDIR(status.st_mode)
    }


def _remove(path: Path) -> None:
    """Remove a file or folder, or a link but not its target."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def _replace_config(out: Path, config: ModelServerConfig, before: ModelServerConfig) -> None:
    """Write the folder's configuration, and remove versions that neither it nor the one before names."""
    from google.protobuf import text_format

    path = out / _CONFIG
    # A server refuses a configuration without a list, but accepts an empty list.
    config.model_config_list.SetInParent()
    content = text_format.MessageToString(config).encode()
    if not path.exists() or path.read_bytes() != content:
        with writing_to(path):
            out.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
    _sweep(out, _versions(config) | _versions(before))


def _sweep(out: Path, served: set[tuple[str, int]]) -> None:
    """Remove versions that are not served, and partial downloads of a mirror that was killed."""
    for folder in out.glob("*/*"):
        model, name = folder.parent.name, folder.name
        if name.isdecimal() and (model, int(name)) not in served and _is_marked(folder):
            _remove(folder.parent / _PASSPORTS / name)
            shutil.rmtree(folder)
            _logger.info("removed %s, which is served no more", folder)
        elif _PARTIAL.fullmatch(name):
            shutil.rmtree(folder)


def _is_marked(folder: Path) -> bool:
    """Whether a mirror wrote this folder; folders of other programs are not touched."""
    graph = folder / "saved_model.pb"
    return graph.is_file() and graph.stat().st_mtime == _MARK
