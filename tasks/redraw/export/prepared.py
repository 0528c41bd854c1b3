"""Prepare a definition for any number of exports; whatever does not depend on values is done once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.checkpoint.formats.parts import join_parts
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.definition import ModelDefinition, RecordedDefinition
from redraw.definition.examples import read_examples
from redraw.definition.user_code import method_of, running_user_code
from redraw.errors import CheckpointMismatch, short_list
from redraw.export.graph.drawing import draw_graph
from redraw.export.graph.drawn import DrawnGraph
from redraw.export.provenance import describe_maker
from redraw.export.weights.copying import write_saved_model
from redraw.export.weights.ledger import Ledger, note_non_finite, note_saved_keys
from redraw.export.weights.mapping import map_checkpoint
from redraw.export.weights.numbered_averages import find_numbered_averages
from redraw.export.weights.renaming import rename
from redraw.export.weights.request import WeightsRequest
from redraw.networks.outputs import check_outputs
from redraw.records import MadeBy, WeightsKind
from redraw.records.times import now
from redraw.storage.files import Checksums
from redraw.storage.scratch import demand_room

_WARM_UP = Path("assets.extra", "tf_serving_warmup_requests")


class PreparedModel:
    """A definition, drawn when it is first exported."""

    def __init__(self, definition: ModelDefinition) -> None:
        self.definition = definition
        self._mapped: tuple[Any, Ledger] | None = None
        self._warm_up: bytes | None = None

    @cached_property
    def graph(self) -> DrawnGraph:
        """The graph for serving."""
        return draw_graph(self.definition)

    @cached_property
    def _maker(self) -> MadeBy:
        return describe_maker(self.definition)

    def made_now(self) -> MadeBy:
        """The exporting code, and the current time."""
        return replace(self._maker, exported_at=now())

    def write(
        self, source: CheckpointSource, weights: WeightsKind, folder: Path, *, allow_non_finite: bool
    ) -> tuple[Ledger, Mapping[Path, Checksums]]:
        """Write a SavedModel of the graph with a checkpoint's weights.

        Args:
            source: The checkpoint.
            weights: Which of its weights to serve.
            folder: The SavedModel's folder; it exists.
            allow_non_finite: Whether weights may be NaN or infinite.

        Returns:
            The restore ledger, and checksums of files that were computed while writing.

        Raises:
            InvalidDefinition: The definition cannot be drawn.
            CheckpointMismatch: A served variable has no source in the checkpoint.
            CheckpointCorrupt: A tensor differs from its checksum.
            NonFiniteWeights: Weights are NaN or infinite, which is not allowed.
            DiskFull: There is no room for the weights; none was copied yet.
        """
        source = join_parts(source, self._shapes_by_key())
        ledger = self._map(source, weights)
        _demand_updated(self.definition, ledger, source)
        demand_room(folder, ledger.served_bytes)
        saved = write_saved_model(self.graph, ledger, source, folder)
        ledger = note_non_finite(ledger, saved.non_finite, allowed=allow_non_finite)
        self._write_warm_up(folder)
        return ledger, saved.digests

    def _map(self, source: CheckpointSource, weights: WeightsKind) -> Ledger:
        """The ledger; reuses that of the previous export if the checkpoints have the same tensors."""
        layout = _layout(source, weights)
        if layout is not None and self._mapped is not None and self._mapped[0] == layout:
            return self._mapped[1]
        ledger = map_checkpoint(self._weights_request(weights, source), source)
        ledger = note_saved_keys(ledger, {variable.name: variable.key for variable in self.graph.variables})
        # After the weights, because these recognize a network that is not the checkpoint's first.
        _check_outputs(self.definition, self.graph.meta_graph)
        self._mapped = (layout, ledger)
        return ledger

    def _shapes_by_key(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the network's variables by their names in the checkpoint."""
        variables = (*self.graph.variables, *self.graph.unreached)
        return {rename(v.name, self.definition.renames) or v.name: v.shape for v in variables}

    def _weights_request(self, weights: WeightsKind, source: CheckpointSource) -> WeightsRequest:
        graph, definition = self.graph, self.definition
        return WeightsRequest(
            variables=[variable for variable in graph.variables if variable.value is None],
            unreached=graph.unreached,
            weights=weights,
            known_by=graph.known_by,
            places=graph.places,
            averages=find_numbered_averages(graph, source) if weights == "average" else {},
            renames=definition.renames,
            training_only=definition.training_only,
            roots=definition.checkpoint_roots,
        )

    def _write_warm_up(self, folder: Path) -> None:
        if self._warm_up is None:
            _write_requests(self.definition, folder)
            self._warm_up = (folder / _WARM_UP).read_bytes()
            return
        (folder / _WARM_UP).parent.mkdir(exist_ok=True)
        (folder / _WARM_UP).write_bytes(self._warm_up)


def _layout(source: CheckpointSource, weights: WeightsKind) -> Any:
    """All that the mapping depends on; None if that is more than the tensors, as for an archive."""
    if source.format != "tensor_bundle":
        return None
    forms = {key: (entry.dtype, entry.shape) for key, entry in source.entries.items()}
    return weights, forms, source.graph


def _write_requests(definition: ModelDefinition, folder: Path) -> None:
    """Write each signature's golden batch as a request to `assets.extra/tf_serving_warmup_requests`.

    Source:
        https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    from tensorflow_serving.apis import prediction_log_pb2

    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for signature, examples in sorted(read_examples(definition, "golden_examples").items()):
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = signature
            with running_user_code(method_of(definition, f"golden_examples, signature {signature!r},")):
                for name, values in examples.inputs.items():
                    dtype = definition.signatures[signature].inputs[name].dtype
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype=dtype))
            writer.write(log.SerializeToString(deterministic=True))


def _check_outputs(definition: ModelDefinition, meta_graph: Any) -> None:
    """Compare the outputs of every signature with the definition."""
    where = f"{type(definition).__module__}.{type(definition).__name__}.serve"
    for name, signature in definition.signatures.items():
        infos = meta_graph.signature_def[name].outputs
        answered = {
            key: (tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape)) for key, info in infos.items()
        }
        check_outputs(f"{where}, signature {name!r}", signature.outputs, answered)


def _demand_updated(definition: ModelDefinition, ledger: Ledger, source: CheckpointSource) -> None:
    """Refuse moving averages with their initial values, which training never updated."""
    if not isinstance(definition, RecordedDefinition):
        return
    keys_by_variable = {served.variable: served.key for served in ledger.served}
    keys_by_node = {variable.node: variable.key for variable in definition.redrawn.variables}
    untouched = [
        average.variable
        for average in definition.redrawn.averages
        if average.initial is not None
        and np.array_equal(
            source.read_array(keys_by_variable[keys_by_node[average.variable]]), average.initial
        )
    ]
    if untouched:
        names = short_list(untouched, "moving averages that training never updated")
        raise CheckpointMismatch(
            f"{source.uri}: expected moving averages that training updated, got the initial values in"
            f" {names}: training did not run the update operations (UPDATE_OPS), so the checkpoint has no"
            " statistics to serve. Choose another checkpoint."
        )
