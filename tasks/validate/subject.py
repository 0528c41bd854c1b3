"""What is examined: an export, and all that it is held to, each part read when a check first asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.checkpoint.bundle_reader import TensorBundle
from tasks.checkpoint.messages import SavedModel, parse_message
from tasks.records import Checkpoint, ExportedModel, Release
from tasks.storage import read_uri
from tasks.validate.outcome import CannotRun

if TYPE_CHECKING:
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

    from tasks.definition import GoldenExamples, ModelDefinition
    from tasks.validate.serving import LoadedModel, ServingProcess

__all__ = ["LiveVersion", "Subject"]

_SERVE = "serve"


@dataclass(kw_only=True)
class LiveVersion:
    """The version that the bucket serves now.

    Attributes:
        release: Its record.
        fetch: Copies its files to a local folder, and says where.
    """

    release: Release
    fetch: Callable[[], Path]

    @cached_property
    def folder(self) -> Path:
        """Its files, fetched when a check first asks for them."""
        return self.fetch()


@dataclass(kw_only=True)
class Subject:
    """An export under examination.

    Attributes:
        exported: Its record.
        folder: Its files.
        checkpoint: The checkpoint that it is held to.
        live: The version that it would replace; None where it is compared with none.
        allow_breaking: Why a breaking change of signatures is wanted; empty where it is not.
        serving: The process that answers as a server does; it outlives the subject.
        scratch: An empty folder.
    """

    exported: ExportedModel
    folder: Path
    checkpoint: Checkpoint | str
    live: LiveVersion | None
    allow_breaking: str
    serving: ServingProcess
    scratch: Path

    @cached_property
    def meta_graphs(self) -> list[MetaGraphDef]:
        """Every graph of `saved_model.pb`, as tensorboard's messages: no TensorFlow is imported.

        Raises:
            MalformedError: The file is damaged.
        """
        from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

        path = self.folder / "saved_model.pb"
        parsed = parse_message(SavedModel, path.read_bytes())
        return [MetaGraphDef.FromString(graph.SerializeToString()) for graph in parsed.meta_graphs]

    @cached_property
    def meta_graph(self) -> MetaGraphDef:
        """The graph with the tag that servers load.

        Raises:
            CannotRun: There is none.
        """
        for graph in self.meta_graphs:
            if set(graph.meta_info_def.tags) == {_SERVE}:
                return graph
        raise CannotRun(f"no graph has the tag {_SERVE!r} alone", "Export again.")

    @cached_property
    def bundle(self) -> TensorBundle:
        """The SavedModel's variables."""
        return TensorBundle(self.folder / "variables" / "variables")

    @cached_property
    def ledger(self) -> Mapping[str, Any]:
        """The restore ledger: `served` and `dropped` rows, as `tasks.export.ledger` writes them.

        Raises:
            CannotRun: It is gone.
        """
        text = read_uri(self.exported.ledger_uri)
        if text is None:
            raise CannotRun(f"there is no restore ledger at {self.exported.ledger_uri}", "Export again.")
        ledger: Mapping[str, Any] = json.loads(text)
        return ledger

    @cached_property
    def definition(self) -> ModelDefinition:
        """The model's definition; imports TensorFlow."""
        from tasks.quiet import quiet_import
        from tasks.registry import load_definition

        with quiet_import():
            import tensorflow  # noqa: F401 - imported by the definition; here without its chatter
        return load_definition(self.exported.model)

    @cached_property
    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to the definition's examples."""
        return self.definition.golden_examples()

    @cached_property
    def served(self) -> LoadedModel:
        """The export, loaded in the serving process.

        Raises:
            LoadFailed: The C++ loader refuses it.
            ServingCrashed: The process died of it.
        """
        return self.serving.load(self.folder)

    @cached_property
    def golden_answers(self) -> Mapping[str, Mapping[str, Any]]:
        """Signature name to output name to what the server answers to the golden examples.

        Raises:
            RequestRefused: It answers one of them with an error.
            ServingCrashed: The process died of it.
        """
        return {
            name: self.served.answer(name, examples.inputs) for name, examples in self.golden_examples.items()
        }
