"""The unchanged recorded graph, restored by TensorFlow's own Saver, in a session that can feed any tensor.

Training behaviour is overridden layer by layer at the layer's output: a dropout by its input, a batch
normalization by its inference value, computed in NumPy from the checkpoint. First the session tests the claim
about each layer. A session cannot feed tensors inside loops and functions: there the operations are tested
in a graph of their own, with TensorFlow's own random numbers, and then bypassed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from redraw.definition import RecordedDefinition
from redraw.errors import CheckpointMismatch
from redraw.records import WeightsKind
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.recording.guarded import GuardedSession
from redraw.validate.subject.recording.layers import Layers
from redraw.validate.subject.recording.loops import silence_loops
from redraw.validate.subject.reference import LedgerTensors

tf1 = tf.compat.v1

_AVERAGE = "/ExponentialMovingAverage"
# The default names of a Saver's operations, which `graph.pbtxt` does not record.
_SAVER = {
    "filename_tensor_name": "save/Const:0",
    "save_tensor_name": "save/control_dependency:0",
    "restore_op_name": "save/restore_all",
}
_PADDED_ROWS = 64
_MOST_MS = 20_000


class UntouchedReference:
    """The `Reference` of a definition that names a recording.

    Raises:
        CannotRun: TensorFlow cannot import the recorded graph, or a claim about it is wrong.
    """

    def __init__(self, definition: RecordedDefinition, weights: WeightsKind) -> None:
        self._definition, self._weights = definition, weights
        recorded = meta_graph_pb2.MetaGraphDef()
        recorded.CopyFrom(definition.opened.meta_graph)
        self._shapes = {node.name: node.attr["_output_shapes"].list for node in recorded.graph_def.node}
        for node in recorded.graph_def.node:
            node.attr.pop("_output_shapes", None)  # old ones contradict today's shape functions
        self._claims = definition.redrawn.replaced
        self._silenced = silence_loops(recorded.graph_def, self._claims)
        self._graph = tf.Graph()
        self._session = self._open(recorded)
        self._layers: Layers | None = None
        self._batch = self._fixed_batch()

    def _open(self, recorded: Any) -> Any:
        with self._graph.as_default():
            self._saver = self._imported(recorded)
            # With a timeout: reading a queue that nothing fills would block forever.
            return GuardedSession(recorded.graph_def, _MOST_MS)

    def _imported(self, recorded: Any) -> Any:
        try:
            if recorded.HasField("saver_def"):
                return tf1.train.import_meta_graph(recorded)
            tf.graph_util.import_graph_def(recorded.graph_def, name="")
        except (ValueError, KeyError, TypeError, tf.errors.OpError) as err:
            raise CannotRun(
                f"TensorFlow {tf.__version__} cannot import the recorded graph:"
                f" {' '.join(str(err).split())[:200]}",
                "Install the packages that its operations need, or waive the check: --waive"
                " recorded-answers=REASON.",
            ) from err
        names = {operation.name for operation in self._graph.get_operations()}
        if not all(name.partition(":")[0] in names for name in _SAVER.values()):
            raise CannotRun(
                "the recorded graph has no Saver with the usual names",
                "Name the .meta file next to the checkpoint.",
            )
        saver = tf1.train.SaverDef if hasattr(tf1.train, "SaverDef") else None
        return tf1.train.Saver(saver_def=saver(**_SAVER, version=2))  # type: ignore[misc]

    def restore(self, prefix: Path) -> str:
        """Restore with the recording's own Saver, and test the claims about its layers."""
        self._read(prefix)
        self._start_tables()
        reader = self._reader(prefix)
        examples = self._definition.generate_examples(_PADDED_ROWS)
        self._layers = Layers(self._session, self._definition, reader, self._weights)
        feeds = [self._feeds(name, self._padded(example.inputs)) for name, example in examples.items()]
        # All claims are tested at once, so each signature's layers get the feeds of every signature.
        self._layers.try_claims({tensor: value for fed in reversed(feeds) for tensor, value in fed.items()})
        # Testing an update has changed its variable.
        self._read(prefix)
        if self._weights == "average":
            self._take_averages(reader)
        return "the recorded graph's own Saver" + (f" ({self._silenced})" if self._silenced else "")

    def _reader(self, prefix: Path) -> Any:
        return tf.train.load_checkpoint(str(prefix))

    def _read(self, prefix: Path) -> None:
        try:
            with self._graph.as_default():
                self._saver.restore(self._session, str(prefix))
        except (ValueError, tf.errors.OpError) as err:
            line = str(err).partition("\n")[0][:200]
            raise CheckpointMismatch(
                f"{prefix}: expected a checkpoint of the recorded graph, got: {line}. Name the checkpoint"
                " next to the recorded graph."
            ) from err

    def _start_tables(self) -> None:
        initializers = [op for op in self._graph.get_operations() if op.type.startswith("InitializeTable")]
        files = self._definition.files
        for initializer in initializers:
            feeds = {}
            if "TextFile" in initializer.type:
                path = tf.get_static_value(initializer.inputs[1])
                name = Path(path.item().decode() if path is not None else "").name
                near = Path(self._definition.recording_uri.parent) / name
                local_path = files.get(name) or (str(near) if near.is_file() else None)
                if local_path is None:  # the recorded path belongs to another machine
                    continue
                feeds = {initializer.inputs[1]: local_path}
            self._session.run(initializer, feeds)

    def _take_averages(self, reader: Any) -> None:
        shapes = reader.get_variable_to_shape_map()
        for operation in self._graph.get_operations():
            key = operation.name + _AVERAGE
            if operation.type in ("VariableV2", "VarHandleOp") and key in shapes:
                assign = next(
                    (
                        user
                        for out in operation.outputs
                        for user in out.consumers()
                        if user.type.startswith("Assign")
                    ),
                    None,
                )
                if assign is not None:
                    self._session.run(assign, {assign.inputs[1]: reader.get_tensor(key)})

    def assign(self, tensors: LedgerTensors) -> None:
        """Always refused: only its own Saver restores a recording.

        Raises:
            CannotRun: Always.
        """
        raise CannotRun(
            "a recorded graph can be restored only by its own Saver",
            "Name a checkpoint that this Saver can read.",
        )

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Output name to answers, asked in batches of the recording's size."""
        if self._layers is None:
            raise CannotRun("no checkpoint was restored", "Validate again.")
        outputs = self._definition.signatures[signature].outputs
        rows = len(next(iter(inputs.values())))
        size = self._batch or rows
        parts: dict[str, list[np.ndarray]] = {name: [] for name in outputs}
        for start in range(0, rows, size):
            piece = {name: value[start : start + size] for name, value in inputs.items()}
            count = len(next(iter(piece.values())))
            fetched = {name: self._answering(signature, name) for name in outputs}
            feeds = self._layers.settled(self._feeds(signature, self._padded(piece)), fetched.values())
            for name, value in self._session.run(fetched, feeds).items():
                parts[name].append(value[:count])
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}

    def _padded(self, request: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """A request with the recording's number of rows; its last row is repeated."""
        size = self._batch
        if not size:
            return request
        return {name: value[np.minimum(np.arange(size), len(value) - 1)] for name, value in request.items()}

    def _answering(self, signature: str, name: str) -> Any:
        return self._tensor(self._definition.outputs[self._definition.answer_of(signature, name)])

    def _feeds(self, signature: str, request: Mapping[str, np.ndarray]) -> dict[Any, Any]:
        """Tensor to value: the request's data at the definition's cuts, and the definition's constants."""
        fixed = {self._tensor(name): value for name, value in self._definition.constants.items()}
        cuts = {name: self._definition.inputs[self._definition.cut_of(signature, name)] for name in request}
        data = {self._tensor(cuts[name]): value for name, value in request.items()}
        return {**self._siblings(data), **fixed, **data}

    def _siblings(self, data: Mapping[Any, np.ndarray]) -> dict[Any, np.ndarray]:
        """Zeros for tensors from the same queue or iterator, such as labels, which nothing fills here."""
        siblings = {}
        for tensor, value in data.items():
            for other in tensor.op.outputs if len(tensor.op.outputs) > 1 else ():
                recorded = self._shapes[other.op.name].shape
                number = other.value_index
                shape = tf.TensorShape(recorded[number]) if number < len(recorded) else other.shape
                sizes = [len(value), *(size or 1 for size in shape.as_list()[1:])] if shape.rank else []
                siblings[other] = np.zeros(sizes, other.dtype.as_numpy_dtype)
        return siblings

    def _tensor(self, name: str) -> Any:
        return self._graph.get_tensor_by_name(name if ":" in name else f"{name}:0")

    def _fixed_batch(self) -> int | None:
        """The recording's number of rows, if training fixed it; None for any number."""
        sizes = set()
        for tensor in map(self._tensor, self._definition.inputs.values()):
            shape, recorded = tensor.shape, self._shapes[tensor.op.name].shape
            if tensor.value_index < len(recorded):
                shape = tf.TensorShape(recorded[tensor.value_index])
            sizes |= {shape[0]} if shape.rank and shape[0] else set()
        return min(sizes) if sizes else None

    def evaluate(self) -> dict[str, float]:
        """Always refused: a recording comes without evaluation data.

        Raises:
            CannotRun: Always.
        """
        raise CannotRun(
            "a recorded graph has no evaluation data", "Remove the thresholds from the definition."
        )

    def close(self) -> None:
        """Free the weights."""
        self._session.close()
