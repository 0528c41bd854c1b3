"""An export made by hand, to be damaged: its graph is written as text, and no TensorFlow is needed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

from redraw.checkpoint.bundle.messages import SavedModel
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.definition import Budget
from redraw.records import Check, Checkpoint, ExportedModel, LedgerSummary, Signature, TensorSpec
from redraw.storage.files import digest_tree
from redraw.validate.plan import PLAN
from redraw.validate.subject.model_resources import ModelResources
from redraw.validate.subject.subject import LiveVersion, Subject

SIGNATURES = {
    "serving_default": Signature(
        inputs={"x": TensorSpec("float32", (None, 4))}, outputs={"y": TensorSpec("float32", (None, 4))}
    )
}

# y = x * w + b, with two variables that a Saver restores.
_META = """
meta_info_def { tags: "serve" }
graph_def {
  versions { producer: 1395 min_consumer: 12 }
  node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
  node { name: "w" op: "VarHandleOp" attr { key: "shared_name" value { s: "w" } } }
  node { name: "b" op: "VarHandleOp" attr { key: "shared_name" value { s: "b" } } }
  node { name: "w/Read" op: "ReadVariableOp" input: "w" }
  node { name: "b/Read" op: "ReadVariableOp" input: "b" }
  node { name: "scaled" op: "Mul" input: "x" input: "w/Read" }
  node { name: "y" op: "AddV2" input: "scaled" input: "b/Read" }
  node { name: "save/Const" op: "Const" }
  node { name: "save/names" op: "Const" attr { key: "value" value { tensor {
    dtype: DT_STRING string_val: "w" string_val: "b" } } } }
  node { name: "save/slices" op: "Const" }
  node { name: "save/RestoreV2" op: "RestoreV2" input: "save/Const" input: "save/names" input: "save/slices" }
  node { name: "save/Identity" op: "Identity" input: "save/RestoreV2" }
  node { name: "save/Assign" op: "AssignVariableOp" input: "w" input: "save/Identity" }
  node { name: "save/Assign_1" op: "AssignVariableOp" input: "b" input: "save/RestoreV2:1" }
  node { name: "save/restore_all" op: "NoOp" input: "^save/Assign" input: "^save/Assign_1" }
}
saver_def { filename_tensor_name: "save/Const:0" restore_op_name: "save/restore_all" version: V2 }
signature_def { key: "serving_default" value {
  inputs { key: "x" value { name: "x:0" dtype: DT_FLOAT
    tensor_shape { dim { size: -1 } dim { size: 4 } } } }
  outputs { key: "y" value { name: "y:0" dtype: DT_FLOAT
    tensor_shape { dim { size: -1 } dim { size: 4 } } } }
  method_name: "tensorflow/serving/predict"
} }
"""


@dataclass
class HandMade:
    """What an export consists of; change it, then take the `subject`.

    Attributes:
        root: An empty folder.
        meta: Its graph; `also` are further graphs.
        tensors: What its bundle holds.
        checkpoint: What the checkpoint holds.
        served: The ledger's rows of served variables: variable, checkpoint's key, bundle's key.
        files: Further files by name.
        weights: What the record claims.
        assets: The files that the definition would write.
        definition: What the checks ask of a definition.
    """

    root: Path
    meta: Any = field(default_factory=lambda: text_format.Parse(_META, MetaGraphDef()))
    also: list[Any] = field(default_factory=list)
    tensors: dict[str, np.ndarray] = field(default_factory=lambda: dict(_values()))
    checkpoint: dict[str, np.ndarray] = field(default_factory=lambda: dict(_values()))
    served: list[tuple[str, str, str]] = field(default_factory=lambda: [("b", "b", "b"), ("w", "w", "w")])
    non_finite: dict[str, int] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    weights: Any = "raw"
    assets: dict[str, Path] = field(default_factory=dict)
    definition: Any = field(
        default_factory=lambda: SimpleNamespace(
            signatures=SIGNATURES,
            serving_runtime="2.15",
            stateful_ops=(),
            budget=Budget(),
            checkpoint_roots={},
        )
    )

    @property
    def folder(self) -> Path:
        """The export's files."""
        return self.root / "model"

    def add(self, *nodes: str) -> None:
        """Put nodes into the graph, each the text of a NodeDef."""
        for node in nodes:
            text_format.Parse(node, self.meta.graph_def.node.add())

    def add_function(self, name: str, arguments: str, ret: str, *nodes: str) -> None:
        """Put a function into the library; its result is `out`."""
        function = self.meta.graph_def.library.function.add()
        function.signature.name = name
        for argument in arguments.split():
            function.signature.input_arg.add(name=argument)
        function.signature.output_arg.add(name="out")
        function.ret["out"] = ret
        for node in nodes:
            text_format.Parse(node, function.node_def.add())

    def answer_with(self, tensor: str) -> None:
        """Make another tensor the signature's output."""
        self.meta.signature_def["serving_default"].outputs["y"].name = tensor

    def write(self) -> ExportedModel:
        """Write the files, the ledger and the checkpoint."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.folder.mkdir(parents=True)
        graphs = [graph.SerializeToString() for graph in (self.meta, *self.also)]
        model = SavedModel(saved_model_schema_version=1)
        for graph in graphs:
            model.meta_graphs.add().MergeFromString(graph)
        (self.folder / "saved_model.pb").write_bytes(model.SerializeToString())
        write_bundle(self.folder / "variables" / "variables", self.tensors)
        write_bundle(self.root / "checkpoint" / "weights", self.checkpoint)
        for name, content in self.files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)
        rows = [
            dict(zip(("variable", "key", "saved_as"), row, strict=True)) | {"shape": self._shape(row[1])}
            for row in self.served
        ]
        noted = [{"variable": variable, "count": count} for variable, count in self.non_finite.items()]
        (self.root / "model.ledger.json").write_text(json.dumps({"served": rows, "non_finite": noted}))
        return self._record()

    def _shape(self, key: str) -> list[int]:
        return list(self.checkpoint[key].shape) if key in self.checkpoint else []

    def subject(self, live: LiveVersion | None = None, allow_breaking: str = "") -> Subject:
        """Write it, and say what is to be examined."""
        return self.as_written(self.write(), live, allow_breaking)

    def as_written(
        self, exported: ExportedModel, live: LiveVersion | None = None, allow_breaking: str = ""
    ) -> Subject:
        """The subject of files that were changed after they were written."""
        resources = ModelResources("line", "2024-05-06T07:08:09Z")
        resources.definition, resources.assets = self.definition, self.assets
        serving: Any = None
        return Subject(
            exported=exported,
            folder=self.folder,
            checkpoint=exported.checkpoint,
            live=live,
            allow_breaking=allow_breaking,
            resources=resources,
            serving=serving,
            scratch=self.root,
        )

    def _record(self) -> ExportedModel:
        digest, size = digest_tree(self.folder)
        checkpoint = Checkpoint(
            model="line",
            uri=str(self.root / "checkpoint"),
            prefix="weights",
            format="tensor_bundle",
            step=1,
            trained_at="2024-05-06T07:08:09Z",
            digest="0" * 64,
            size_bytes=1,
        )
        return ExportedModel(
            model="line",
            uri=str(self.folder),
            digest=digest,
            size_bytes=size,
            signatures=self.definition.signatures,
            checkpoint=checkpoint,
            weights=self.weights,
            ledger=LedgerSummary(served=len(self.served), dropped={}),
            ledger_uri=str(self.root / "model.ledger.json"),
        )


def write_bundle(prefix: Path, tensors: dict[str, np.ndarray]) -> None:
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with BundleWriter(prefix, durable=False) as writer:
        for key, value in sorted(tensors.items()):
            writer.add_array(key, value)


def _values() -> Iterable[tuple[str, np.ndarray]]:
    yield "w", np.arange(4, dtype=np.float32)
    yield "b", np.full(4, 0.5, np.float32)


@pytest.fixture
def hand_made(tmp_path: Path) -> HandMade:
    """A good export, yet to be changed and written."""
    return HandMade(tmp_path / "hand-made")


@pytest.fixture(scope="session")
def run_check() -> Callable[[str, Subject], Check]:
    """Runs one check of the plan by its name."""

    def run(name: str, subject: Subject) -> Check:
        (planned,) = (planned for planned in PLAN if planned.name == name)
        check = planned.run(subject)
        assert check.name == name
        assert check.looked_at
        assert check.expected
        assert bool(check.advice) == (check.status == "failed")
        return check

    return run
