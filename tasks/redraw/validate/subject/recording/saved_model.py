"""An unchanged SavedModel in the serving process's sandbox, which can feed any of its tensors."""

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
    """The reference of a definition whose recording is a SavedModel's graph.

    TensorFlow inlines its functions. It is loaded only if its operations are allowed.
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
                f"TensorFlow {tf.__version__} cannot import the SavedModel's graph:"
                f" {' '.join(str(err).split())[:200]}",
                "Install the packages that its operations need, or waive the check: --waive"
                " recorded-answers=REASON.",
            ) from err
        self._expanded = recorded
        return _Session(self._graph)

    def restore(self, prefix: Path) -> str:
        """Load it with a checkpoint in its `variables/`, and test the claims about its layers."""
        folder = self._stack.enter_context(scratch_folder("untouched"))
        self._fill(folder, prefix)
        serving = self._stack.enter_context(ServingProcess())
        tags = tuple(self._expanded.meta_info_def.tags)
        try:
            self._session.model = serving.load(folder, tags, lambda: self._definition.stateful_ops)
        except LoadFailed as err:
            raise CannotRun(
                f"the original SavedModel cannot be loaded: {err}", "Correct the SavedModel."
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
        """Nothing to do: the loader has filled the tables."""

    def close(self) -> None:
        """End its process and delete its files."""
        self._stack.close()


def _name(tensor: str) -> str:
    return tensor.partition(":")[0]


class _Session:
    """The session methods that `UntouchedReference` and `Layers` call, run in the serving process."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.model: LoadedModel

    def run(self, fetches: Any, feeds: Mapping[Any, Any] | None = None) -> Any:
        """The value of a tensor, or of a list or mapping of tensors; None for an operation."""
        items = list(fetches.values()) if isinstance(fetches, Mapping) else fetches
        items = items if isinstance(items, list) else [items]
        values = {
            tensor.name: np.asarray(value, None if tensor.dtype == tf.string else tensor.dtype.as_numpy_dtype)
            for tensor, value in (feeds or {}).items()
        }
        tensors = [item.name for item in items if isinstance(item, tf.Tensor) and item.name not in values]
        targets = [item.name for item in items if not isinstance(item, tf.Tensor)]
        if tensors or targets:
            values |= self.model.run(values, list(dict.fromkeys(tensors)), targets)
        results = [values[item.name] if isinstance(item, tf.Tensor) else None for item in items]
        if isinstance(fetches, Mapping):
            return dict(zip(fetches, results, strict=True))
        return results if isinstance(fetches, list) else results[0]

    def close(self) -> None:
        """Nothing to do: `SavedModelReference.close` ends the process."""


class _Reader:
    """A checkpoint with the methods of TensorFlow's reader."""

    def __init__(self, source: CheckpointSource) -> None:
        self._source = source

    def has_tensor(self, key: str) -> bool:
        """Whether it has a tensor."""
        return key in self._source.entries

    def get_tensor(self, key: str) -> np.ndarray:
        """The value of a tensor, checked against its checksum."""
        return self._source.read_array(key)

    def get_variable_to_shape_map(self) -> Iterable[str]:
        """The keys of its tensors."""
        return self._source.entries
