"""The stored bytes of a checkpoint's tensors, whatever its format, to compare an export's with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from threading import Lock

from redraw.checkpoint.bundle.reader import TensorBundle, TensorEntry, TensorSlice
from redraw.checkpoint.bundle.shard_reader import Piece
from redraw.checkpoint.bundle.stored_form import store_array
from redraw.checkpoint.formats.bundle import BundleSource
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.validate.subject.export_bytes import SourceBytes

# An archive or an HDF5 file has one position; tensors of it are read one after the other.
_ONE_AT_A_TIME = Lock()


def list_source_bytes(
    keys: Mapping[str, str], bundle: TensorBundle, source: CheckpointSource
) -> dict[str, SourceBytes]:
    """Say for each tensor of an export which bytes the checkpoint has for it.

    Args:
        keys: Tensor of the export to the checkpoint's.
        bundle: The export's variables.
        source: The checkpoint.

    Returns:
        Tensor of the export to what gives its bytes; none for a tensor that one of the two has
        not, or that differs in dtype or shape.
    """
    return {
        key: partial(_bytes_of, source, source.entries[origin])
        for key, origin in keys.items()
        if key in bundle.entries
        and origin in source.entries
        and _form(bundle.entries[key]) == _form(source.entries[origin])
    }


def _form(entry: TensorEntry) -> tuple[str, tuple[int, ...]]:
    return entry.dtype, entry.shape


def _bytes_of(source: CheckpointSource, entry: TensorEntry, piece: Piece) -> Iterator[bytes]:
    if isinstance(source, BundleSource):
        for part in entry.slices or (entry,):
            if _where(part) == _where(piece):
                yield from source.bundle.chunks(entry, part)
                return
    with _ONE_AT_A_TIME:
        array = source.read_array(entry.key)
    if isinstance(piece, TensorSlice):
        array = array[tuple(slice(a, a + n) for a, n in zip(piece.starts, piece.shape, strict=True))]
    yield from store_array(array, entry.dtype)


def _where(piece: Piece) -> tuple[tuple[int, ...], tuple[int, ...]]:
    starts = piece.starts if isinstance(piece, TensorSlice) else (0,) * len(piece.shape)
    return starts, piece.shape
