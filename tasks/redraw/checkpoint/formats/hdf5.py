"""Keras' HDF5 files: `.weights.h5` of Keras 3, also in shards, and the `.h5` of Keras 2.

Neither stores variables under plain names: Keras 3 numbers them in a group for each layer,
Keras 2 lists each layer's names in an attribute. This module turns both into an object
graph, so that the mapping treats them as any other checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.formats.file_ranges import FileRange
from redraw.checkpoint.formats.folder import FoundFile
from redraw.checkpoint.formats.hdf5_graph import graph_of_keras_2, graph_of_keras_3, order_of_keras_2
from redraw.checkpoint.formats.hdf5_objects import datasets, dtype_of, parts_of, text_attribute
from redraw.checkpoint.formats.locate import SHARD_OF_KERAS, Located
from redraw.checkpoint.formats.streamed import StreamedSource, entry_of
from redraw.errors import one_line, short_list
from redraw.records.json_text import parse_json

_LARGEST_CONFIG, _LARGEST_INDEX, _DEEPEST = 16 << 20, 64 << 20, 10
# What h5py raises for a damaged file.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)


class Hdf5Source(StreamedSource):
    """An HDF5 file of Keras, read tensor by tensor."""

    def __init__(self, located: Located) -> None:
        """Read the list of tensors.

        Raises:
            CheckpointCorrupt: It is damaged.
            CheckpointMismatch: It is not a file of Keras, or points to other files.
            StorageError: The bucket cannot be read.
        """
        (file,) = located.files
        self._open(located.uri, located.files, _file_to_open(located, file))

    def _open(self, uri: str, files: tuple[FoundFile, ...], *contents: FileRange | Path) -> None:
        self.uri, self.files = uri, files
        try:
            open_files = [h5py.File(content, "r") for content in contents]
            self._file: Any = open_files[0] if len(open_files) == 1 else _Shards(open_files)
            self._datasets = dict(pair for file in open_files for pair in datasets(file, uri))
            keras_2 = _is_keras_2(self._file)
            build = graph_of_keras_2 if keras_2 else graph_of_keras_3
            self.graph = build(self._file, list(self._datasets))
            # Keras 2 finds its weights by this order, whatever the layers' names.
            self.layer_order = order_of_keras_2(self._file) if keras_2 else ()
            self.entries = {
                key: entry_of(key, dtype_of(dataset, key, uri), dataset.shape, uri)
                for key, dataset in sorted(self._datasets.items())
            }
        except MalformedError as err:
            raise err.found_in(uri) from err
        except _DAMAGE as err:
            raise self._damage(err).found_in(uri) from err
        self.format = "keras_h5" if keras_2 else "keras_weights"

    def slabs(self, key: str) -> Iterator[np.ndarray]:
        """A tensor's value, about 4 MiB at a time."""
        is_bfloat16 = self.entries[key].dtype == "bfloat16"
        try:
            for slab in parts_of(self._datasets[key]):
                yield _as_bfloat16(slab) if is_bfloat16 else slab
        except MalformedError as err:
            raise err.found_in(self.uri, f"tensor {key!r}") from err
        except _DAMAGE as err:
            raise self._damage(err).found_in(self.uri, f"tensor {key!r}") from err

    def attribute(self, name: str) -> str:
        """A text attribute of the file, such as `model_config`; empty if it has none."""
        return text_attribute(self._file, name, most=_LARGEST_CONFIG)

    def _damage(self, err: Exception) -> MalformedError:
        return MalformedError("an intact HDF5 file", str(err).partition("\n")[0][:200])


class ShardedSource(Hdf5Source):
    """Weights of Keras in several HDF5 files, with an index that maps layers to files."""

    def __init__(self, located: Located) -> None:
        """Read the index and the list of tensors.

        Raises:
            CheckpointError: It is damaged, or not of Keras.
            StorageError: The bucket cannot be read.
        """
        files_by_name = {file.name: file for file in located.files}
        names = _shard_names(located)
        if missing := sorted(names - files_by_name.keys()):
            raise MalformedError(
                f"the shards that {located.name} lists", f"no {short_list(missing, 'missing shards')}"
            ).found_in(located.uri)
        shards = [files_by_name[name] for name in sorted(names)]
        index = files_by_name[located.name]
        self._open(located.uri, (index, *shards), *(_file_to_open(located, file) for file in shards))


class _Shards:
    """The groups of several files, as if they were one file; a layer in two files is read by its name."""

    def __init__(self, files: Sequence[Any]) -> None:
        self._files, self.attrs = files, dict[str, Any]()

    def __contains__(self, name: str) -> bool:
        return any(name in file for file in self._files)

    def __getitem__(self, name: str) -> Any:
        return next(file[name] for file in self._files if name in file)


def _shard_names(located: Located) -> set[str]:
    """The names of the files that an index lists; they are in its folder."""
    index = located.folder.files[located.name]
    content = b""
    while len(content) < min(index.size, _LARGEST_INDEX):
        content += located.folder.read(index, len(content), index.size - len(content))
    try:
        entries = parse_json(content, _LARGEST_INDEX, _DEEPEST)["weight_map"].values()
        names = {name for names in entries for name in ([names] if isinstance(names, str) else names)}
        if not names or not all(SHARD_OF_KERAS.fullmatch(name) and "/" not in name for name in names):
            raise ValueError(f"files {sorted(names)[:3]}")
    except (ValueError, TypeError, KeyError, AttributeError) as err:
        expected = "an index of Keras' sharded weights, with a weight_map"
        raise MalformedError(expected, one_line(f"{type(err).__name__}: {err}", 200)).found_in(
            located.uri
        ) from err
    return names


def _file_to_open(located: Located, file: FoundFile) -> FileRange | Path:
    if located.folder.local is not None:
        return located.folder.local / file.name
    return FileRange(lambda offset, size: located.folder.read(file, offset, size), 0, file.size)


def _is_keras_2(file: Any) -> bool:
    return "layer_names" in file.attrs or "layer_names0" in file.attrs or "model_weights" in file


def _as_bfloat16(slab: Any) -> np.ndarray:
    import ml_dtypes

    return np.asarray(slab).view(ml_dtypes.bfloat16)
