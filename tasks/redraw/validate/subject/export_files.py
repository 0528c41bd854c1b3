"""The files of an export and its checkpoint, each part read when a check first needs it.

Nothing here imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from redraw.checkpoint.bundle.reader import TensorBundle, TensorEntry, TensorSlice
from redraw.checkpoint.bundle.shard_reader import Piece
from redraw.checkpoint.bundle.stored_form import store_array
from redraw.checkpoint.catalogue.store import find_record
from redraw.checkpoint.formats.bundle import BundleSource
from redraw.checkpoint.formats.parts import join_parts
from redraw.checkpoint.formats.source import CheckpointSource, open_checkpoint
from redraw.errors import CheckpointError, InvalidRecord, NewerRecord, StorageError
from redraw.inspect.inspect import describe_saved_model
from redraw.records import Checkpoint, ExportedModel, Signature
from redraw.records.json_text import parse_json
from redraw.records.ledger import LEDGER_SCHEMA
from redraw.records.schema import check_schema
from redraw.serving.graph.serving_graph import ServingGraph, read_meta_graphs
from redraw.storage.opening import read_uri
from redraw.uri import Uri
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.export_bytes import Reading, SourceBytes, read_export

if TYPE_CHECKING:
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

_SERVE = "serve"
# The keys that each served variable must have in the restore ledger.
_ROW = {"variable", "key", "saved_as", "shape"}
# A row takes some 200 bytes, and a model has at most some 100,000.
_LARGEST_LEDGER = 64 << 20
# An archive or an HDF5 file has one read position, so its tensors are read one at a time.
_ONE_AT_A_TIME = Lock()


@dataclass(kw_only=True)
class ExportFiles:
    """An export's files, its ledger and its checkpoint.

    Attributes:
        exported: Its record.
        folder: Its files.
        checkpoint: The checkpoint that the export is checked against.
    """

    exported: ExportedModel
    folder: Path
    checkpoint: Checkpoint | Uri

    @cached_property
    def meta_graphs(self) -> list[MetaGraphDef]:
        """Every graph of `saved_model.pb`, as tensorboard's messages: no TensorFlow is imported.

        Raises:
            CheckpointCorrupt: The file is damaged.
        """
        return read_meta_graphs(self.folder / "saved_model.pb")

    @cached_property
    def meta_graph(self) -> MetaGraphDef:
        """The graph with the tag that servers load.

        Raises:
            CannotRun: No graph has that tag alone.
        """
        for graph in self.meta_graphs:
            if set(graph.meta_info_def.tags) == {_SERVE}:
                return graph
        raise CannotRun(f"no graph has only the tag {_SERVE!r}", "Export again.")

    @cached_property
    def graph(self) -> ServingGraph:
        """The serving graph, with what its signatures reach.

        Raises:
            CannotRun: No graph has the tag that servers load.
        """
        return ServingGraph(self.meta_graph)

    @cached_property
    def served_signatures(self) -> Mapping[str, Signature]:
        """Signature name to the signature in the file, as clients see it."""
        uri = Uri(self.folder)
        return describe_saved_model(uri, uri).signatures

    @cached_property
    def bundle(self) -> TensorBundle:
        """The SavedModel's variables."""
        return TensorBundle(self.folder / "variables" / "variables")

    @cached_property
    def ledger(self) -> Mapping[str, Any]:
        """The restore ledger that `redraw.export.weights.ledger` wrote, with `served` and `dropped` rows.

        Raises:
            CannotRun: The file is missing, a newer version of Redraw wrote it, or it is no ledger.
        """
        uri = self.exported.ledger_uri
        text = read_uri(uri, _LARGEST_LEDGER)
        if text is None:
            raise CannotRun(f"there is no restore ledger at {uri}", "Export again.")
        try:
            ledger: Mapping[str, Any] = check_schema(
                parse_json(text, _LARGEST_LEDGER), LEDGER_SCHEMA, f"{uri}: restore ledger"
            )
            complete = "non_finite" in ledger and all(row.keys() >= _ROW for row in ledger["served"])
        except NewerRecord as err:
            raise CannotRun(str(err), "Upgrade Redraw.") from err
        except (InvalidRecord, ValueError, TypeError, KeyError, AttributeError):
            complete = False
        if not complete:
            raise CannotRun(
                f"{uri} is not a restore ledger that this version of Redraw can read", "Export again."
            )
        return ledger

    @cached_property
    def source(self) -> CheckpointSource:
        """The checkpoint's tensors.

        Raises:
            CannotRun: The checkpoint is missing or damaged.
        """
        checkpoint = self.checkpoint
        try:
            record = checkpoint if isinstance(checkpoint, Checkpoint) else find_record(checkpoint)
            uri = record.files_uri if record else str(checkpoint)
            shapes = {row["key"]: tuple(row["shape"]) for row in self.ledger["served"]}
            return join_parts(open_checkpoint(uri), shapes)
        except (CheckpointError, StorageError) as err:
            raise CannotRun(
                f"the checkpoint cannot be read: {err}", "Name an existing, undamaged checkpoint."
            ) from err

    @cached_property
    def reading(self) -> Reading:
        """The results of reading all bytes of the export once, along with those of the checkpoint.

        If the index, the ledger or the checkpoint is missing, the results that need it are missing too;
        the checks that need it report that.
        """
        try:
            bundle = self.bundle
        except CheckpointError:
            return read_export(self.folder, None, {})
        try:
            keys = {row["saved_as"]: row["key"] for row in self.ledger["served"]}
            sources = list_source_bytes(keys, bundle, self.source)
        except CannotRun:
            sources = {}
        return read_export(self.folder, bundle, sources)


def list_source_bytes(
    keys: Mapping[str, str], bundle: TensorBundle, source: CheckpointSource
) -> dict[str, SourceBytes]:
    """Find the checkpoint's bytes for each tensor of an export.

    Args:
        keys: Tensor of the export to the checkpoint's.
        bundle: The export's variables.
        source: The checkpoint.

    Returns:
        Tensor of the export to a function that reads its bytes, without the tensors that the export
        or the checkpoint lacks and those that differ in dtype or shape.
    """
    return {
        key: partial(_bytes_of, source, source.entries[origin])
        for key, origin in keys.items()
        if key in bundle.entries
        and origin in source.entries
        and _dtype_and_shape(bundle.entries[key]) == _dtype_and_shape(source.entries[origin])
    }


def _dtype_and_shape(entry: TensorEntry) -> tuple[str, tuple[int, ...]]:
    return entry.dtype, entry.shape


def _bytes_of(source: CheckpointSource, entry: TensorEntry, piece: Piece) -> Iterator[bytes]:
    if isinstance(source, BundleSource):
        for part in entry.slices or (entry,):
            if _place(part) == _place(piece):
                yield from source.bundle.chunks(entry, part)
                return
    with _ONE_AT_A_TIME:
        array = source.read_array(entry.key)
    if isinstance(piece, TensorSlice):
        array = array[tuple(slice(a, a + n) for a, n in zip(piece.starts, piece.shape, strict=True))]
    yield from store_array(array, entry.dtype)


def _place(piece: Piece) -> tuple[tuple[int, ...], tuple[int, ...]]:
    starts = piece.starts if isinstance(piece, TensorSlice) else (0,) * len(piece.shape)
    return starts, piece.shape
