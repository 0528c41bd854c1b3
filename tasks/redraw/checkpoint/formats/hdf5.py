"""Keras' HDF5 files: `.weights.h5` of Keras 3, also in shards, and the `.h5` of Keras 2.

Neither names its variables by themselves: Keras 3 numbers them below a group for each
layer, Keras 2 lists each layer's names in an attribute. Both are given the form of an
object graph here, so that the mapping treats them as it treats any other checkpoint.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.formats.file_ranges import FileRange
from redraw.checkpoint.formats.folder import FoundFile
from redraw.checkpoint.formats.hdf5_graph import graph_of_keras_2, graph_of_keras_3, order_of_keras_2
from redraw.checkpoint.formats.locate import SHARD_OF_KERAS, Located
from redraw.checkpoint.formats.streamed import StreamedSource, entry_of
from redraw.errors import CheckpointMismatch, one_line, short_list

__all__ = ["Hdf5Source", "ShardedSource"]

_LARGEST_INDEX = 64 * 1024 * 1024
_SLAB = 4 * 1024 * 1024
# HDF5 walks its file in small steps; one larger read spares a bucket many requests.
_BUFFER = 64 * 1024


class Hdf5Source(StreamedSource):
    """An HDF5 file of Keras, read tensor by tensor."""

    def __init__(self, located: Located) -> None:
        """Read what tensors it holds.

        Raises:
            CheckpointCorrupt: It is damaged.
            CheckpointMismatch: It is no file of Keras, or points to other files.
            StorageError: The bucket cannot be read.
        """
        (file,) = located.files
        self._open(located.uri, located.files, _opened(located, file))

    def _open(self, uri: str, files: tuple[FoundFile, ...], *contents: io.BufferedIOBase | Path) -> None:
        self.uri, self.files = uri, files
        try:
            opened = [h5py.File(content, "r") for content in contents]
            self._file: Any = opened[0] if len(opened) == 1 else _Shards(opened)
            self._datasets = dict(pair for file in opened for pair in _datasets(file, uri))
            keras_2 = _is_keras_2(self._file)
            build = graph_of_keras_2 if keras_2 else graph_of_keras_3
            self.graph = build(self._file, list(self._datasets))
            # By which Keras 2 finds its weights, whatever the layers are called.
            self.layer_order = order_of_keras_2(self._file) if keras_2 else ()
        except (OSError, RuntimeError, KeyError, ValueError) as err:
            raise self._damage(err).found_in(uri) from err
        self.format = "keras_h5" if keras_2 else "keras_weights"
        self.entries = {
            key: entry_of(key, _dtype(dataset), dataset.shape, uri)
            for key, dataset in sorted(self._datasets.items())
        }

    def slabs(self, key: str) -> Iterator[np.ndarray]:
        """A tensor's value, about 4 MiB at a time."""
        dataset = self._datasets[key]
        stored_as_bytes = _dtype(dataset) == "bfloat16"
        try:
            for part in _slab_ranges(dataset):
                slab = dataset[part]
                yield _as_bfloat16(slab) if stored_as_bytes else np.asarray(slab)
        except (OSError, RuntimeError) as err:
            raise self._damage(err).found_in(self.uri, f"tensor {key!r}") from err

    def attribute(self, name: str) -> str:
        """A text that the file says of itself, such as `model_config`; empty where it does not."""
        value = self._file.attrs.get(name, "")
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    def _damage(self, err: Exception) -> MalformedError:
        return MalformedError("an HDF5 file that is whole", str(err).partition("\n")[0][:200])


class ShardedSource(Hdf5Source):
    """Weights of Keras in several HDF5 files, and an index of which layer is in which."""

    def __init__(self, located: Located) -> None:
        """Read the index, and what tensors there are; raises as `Hdf5Source`."""
        found = {file.name: file for file in located.files}
        names = _shard_names(located)
        if missing := sorted(names - found.keys()):
            raise MalformedError(
                f"the shards that {located.name} lists", f"no {short_list(missing, 'missing shards')}"
            ).found_in(located.uri)
        shards = [found[name] for name in sorted(names)]
        index = found[located.name]
        self._open(located.uri, (index, *shards), *(_opened(located, file) for file in shards))


class _Shards:
    """Groups of several files, as one file has them; of a layer in two files both have its name."""

    def __init__(self, files: Sequence[Any]) -> None:
        self._files, self.attrs = files, dict[str, Any]()

    def __contains__(self, name: str) -> bool:
        return any(name in file for file in self._files)

    def __getitem__(self, name: str) -> Any:
        return next(file[name] for file in self._files if name in file)


def _shard_names(located: Located) -> set[str]:
    """The files that an index lists, which lie next to it."""
    index = located.folder.files[located.name]
    content = b""
    while len(content) < min(index.size, _LARGEST_INDEX):
        content += located.folder.read(index, len(content), index.size - len(content))
    try:
        listed = json.loads(content)["weight_map"].values()
        names = {name for names in listed for name in ([names] if isinstance(names, str) else names)}
        if not names or not all(SHARD_OF_KERAS.fullmatch(name) and "/" not in name for name in names):
            raise ValueError(f"files {sorted(names)[:3]}")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
        expected = "an index of Keras' sharded weights, with a weight_map"
        raise MalformedError(expected, one_line(f"{type(err).__name__}: {err}", 200)).found_in(
            located.uri
        ) from err
    return names


def _opened(located: Located, file: FoundFile) -> io.BufferedIOBase | Path:
    if located.folder.local is not None:
        return located.folder.local / file.name
    remote = FileRange(lambda offset, size: located.folder.read(file, offset, size), 0, file.size)
    return io.BufferedReader(remote, _BUFFER)


def _datasets(file: Any, uri: str) -> Iterator[tuple[str, Any]]:
    """Every dataset that lies in the file itself, by its path.

    Links and datasets that point to other files are refused: what opens a checkpoint must
    not be led to another file of this machine.
    """
    pending = [("", file)]
    while pending:
        path, group = pending.pop()
        for name in group:
            where = f"{path}{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _pointing(where, uri)
            if isinstance(link, h5py.SoftLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                pending.append((f"{where}/", item))
                continue
            if item.external or item.is_virtual:
                raise _pointing(where, uri)
            yield where, item


def _pointing(where: str, uri: str) -> CheckpointMismatch:
    return CheckpointMismatch(
        f"{where!r}: expected weights in the file itself, got a pointer to another file, in {uri}."
        " Save the weights again, in one file."
    )


def _is_keras_2(file: Any) -> bool:
    return "layer_names" in file.attrs or "layer_names0" in file.attrs or "model_weights" in file


def _dtype(dataset: Any) -> np.dtype | str:
    if dataset.attrs.get("dtype") == "bfloat16":
        return "bfloat16"
    return np.dtype(object) if h5py.check_string_dtype(dataset.dtype) else dataset.dtype


def _as_bfloat16(slab: Any) -> np.ndarray:
    import ml_dtypes

    return np.asarray(slab).view(ml_dtypes.bfloat16)


def _slab_ranges(dataset: Any) -> Iterator[Any]:
    if not dataset.shape:
        yield ()
        return
    rows = len(dataset)
    row_size = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    step = max(1, _SLAB // row_size)
    if dataset.chunks:
        # A compressed chunk is decoded whole, so that slabs should end where chunks do.
        step = max(step - step % dataset.chunks[0], dataset.chunks[0])
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
