"""A SavedModel as it is, in the serving process's sandbox, which may be fed any tensor of it."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from redraw.checkpoint.formats.source import CheckpointSource, open_checkpoint
from redraw.definition import RecordedDefinition
from redraw.errors import CheckpointMismatch, InvalidDefinition
from redraw.recorded.files import SAVED_MODEL
from redraw.records import WeightsKind
from redraw.serving.errors import LoadFailed, ServingFailure
from redraw.serving.process import LoadedModel, ServingProcess
from redraw.storage.opening import open_storage
from redraw.storage.scratch import scratch_folder
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.recording.expanding import expand_saved_model
from redraw.validate.subject.recording.untouched import UntouchedReference

_ASSETS = "assets"


class SavedModelReference(UntouchedReference):
    """As `UntouchedReference`, of a definition whose recording is a SavedModel's graph.

    Its functions are put in the place of their calls by TensorFlow's own means. It is loaded only if its
    operations are allowed.
    """

    def __init__(self, definition: RecordedDefinition, weights: WeightsKind) -> None:
        self._stack = ExitStack()
        super().__init__(definition, weights)

    def _open(self, recorded: Any) -> Any:
        definition = self._definition
        try:
            expand_saved_model(recorded, definition.outputs.values(), definition.inputs.values())
            with self._graph.as_default():
                tf.graph_util.import_graph_def(recorded.graph_def, name="")
        except (ValueError, KeyError, TypeError, InvalidDefinition, tf.errors.OpError) as err:
            raise CannotRun(
                f"TensorFlow {tf.__version__} does not take the SavedModel's graph as it is:"
                f" {' '.join(str(err).split())[:200]}",
                "Install what its operations need, or waive the check.",
            ) from err
        self._expanded = recorded
        return _Session(self._graph)

    def restore(self, prefix: Path) -> str:
        """Load it with a checkpoint in its `variables/`, and try what is claimed of its layers."""
        folder = self._stack.enter_context(scratch_folder("untouched"))
        self._fill(folder, prefix)
        serving = self._stack.enter_context(ServingProcess())
        tags = tuple(self._expanded.meta_info_def.tags)
        try:
            self._session.model = serving.load(folder, tags, lambda: self._definition.stateful_ops)
        except LoadFailed as err:
            raise CannotRun(
                f"the untouched SavedModel cannot be loaded: {err}", "Correct the SavedModel."
            ) from err
        how = super().restore(prefix)
        return how.replace("the recorded graph's own Saver", "loaded by TensorFlow in the sandbox")

    def _fill(self, folder: Path, prefix: Path) -> None:
        model = saved_model_pb2.SavedModel(saved_model_schema_version=1, meta_graphs=[self._expanded])
        (folder / SAVED_MODEL).write_bytes(model.SerializeToString())
        (folder / "variables").mkdir()
        for path in prefix.parent.glob(f"{glob.escape(prefix.name)}.*"):
            place = folder / "variables" / f"variables{path.name.removeprefix(prefix.name)}"
            try:
                os.link(path.resolve(), place)
            except OSError:  # another disk
                shutil.copyfile(path, place)
        home = open_storage(self._definition.recording_uri.parent)
        for asset in self._expanded.asset_file_def:
            content = home.read(f"{_ASSETS}/{asset.filename}")
            if content is not None:
                place = folder / _ASSETS / asset.filename
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)

    def _reader(self, prefix: Path) -> Any:
        return _Reader(open_checkpoint(prefix))

    def _read(self, prefix: Path) -> None:
        saver, folder = self._expanded.saver_def, self._session.model.folder
        if not saver.restore_op_name:
            return  # it has no variables
        try:
            path = np.array(os.fsencode(folder / "variables" / "variables"), object)
            self._session.model.run({saver.filename_tensor_name: path}, (), [_name(saver.restore_op_name)])
        except ServingFailure as err:
            raise CheckpointMismatch(
                f"{prefix}: expected the variables of {self._definition.recording}, got: {str(err)[:200]}."
                " Name the SavedModel itself as the checkpoint."
            ) from err

    def _start_tables(self) -> None:
        """The loader has filled them."""

    def close(self) -> None:
        """End its process, and let go of its files."""
        self._stack.close()


def _name(tensor: str) -> str:
    return tensor.partition(":")[0]


class _Session:
    """What `UntouchedReference` and `Layers` use of a session, of the model in the serving process."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.model: LoadedModel

    def run(self, asked: Any, feeds: Mapping[Any, Any] | None = None) -> Any:
        """Values of a tensor, or of a list or mapping of tensors; None of an operation."""
        wanted = list(asked.values()) if isinstance(asked, Mapping) else asked
        wanted = wanted if isinstance(wanted, list) else [wanted]
        given = {
            tensor.name: np.asarray(value, None if tensor.dtype == tf.string else tensor.dtype.as_numpy_dtype)
            for tensor, value in (feeds or {}).items()
        }
        tensors = [one.name for one in wanted if isinstance(one, tf.Tensor) and one.name not in given]
        targets = [one.name for one in wanted if not isinstance(one, tf.Tensor)]
        found = dict(given)
        if tensors or targets:
            found |= self.model.run(given, list(dict.fromkeys(tensors)), targets)
        values = [found[one.name] if isinstance(one, tf.Tensor) else None for one in wanted]
        if isinstance(asked, Mapping):
            return dict(zip(asked, values, strict=True))
        return values if isinstance(asked, list) else values[0]

    def close(self) -> None:
        """The model's process ends elsewhere."""


class _Reader:
    """A checkpoint as TensorFlow's reader shows it."""

    def __init__(self, source: CheckpointSource) -> None:
        self._source = source

    def has_tensor(self, key: str) -> bool:
        """Whether it holds one."""
        return key in self._source.entries

    def get_tensor(self, key: str) -> np.ndarray:
        """Its value, checked."""
        return self._source.read_array(key)

    def get_variable_to_shape_map(self) -> Iterable[str]:
        """Its keys."""
        return self._source.entries
