"""What is examined: an export, and all that it is held to, each part read when a check first asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.checkpoint.bundle_reader import TensorBundle
from tasks.checkpoint.catalogue import find_record
from tasks.checkpoint.messages import SavedModel, parse_message
from tasks.checkpoint.source import CheckpointSource, open_checkpoint
from tasks.errors import CheckpointError, StorageError
from tasks.inspect.saved_model import describe_saved_model
from tasks.records import Checkpoint, ExportedModel, Release, Signature
from tasks.storage import read_uri
from tasks.validate.graph import ServingGraph
from tasks.validate.outcome import CannotRun
from tasks.validate.reading import Reading, read_export
from tasks.validate.source_bytes import list_source_bytes

if TYPE_CHECKING:
    import numpy as np
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

    from tasks.definition import GoldenExamples, ModelDefinition
    from tasks.validate.reference import Reference
    from tasks.validate.serving import LoadedModel, ServingProcess
    from tasks.validate.standard import Standard

__all__ = ["Answers", "LiveVersion", "Subject"]

# Signature name to output name to values.
Answers = Mapping[str, Mapping[str, "np.ndarray"]]

_SERVE = "serve"
# What is read of each served variable in the restore ledger.
_ROW = {"variable", "key", "saved_as"}


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
        standard: What exports of its model are held to; it outlives the subject.
        serving: The process that answers as a server does; it outlives the subject as well.
        scratch: An empty folder.
    """

    exported: ExportedModel
    folder: Path
    checkpoint: Checkpoint | str
    live: LiveVersion | None
    allow_breaking: str
    standard: Standard
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
    def graph(self) -> ServingGraph:
        """That graph, with what its signatures reach.

        Raises:
            CannotRun: There is none.
        """
        return ServingGraph(self.meta_graph)

    @cached_property
    def served_signatures(self) -> Mapping[str, Signature]:
        """Signature name to what the file says of it, as clients see it."""
        description = describe_saved_model(self.folder, str(self.folder))
        return description.signatures

    @cached_property
    def bundle(self) -> TensorBundle:
        """The SavedModel's variables."""
        return TensorBundle(self.folder / "variables" / "variables")

    @cached_property
    def ledger(self) -> Mapping[str, Any]:
        """The restore ledger: `served` and `dropped` rows, as `tasks.export.ledger` writes them.

        Raises:
            CannotRun: It is gone, or it is none.
        """
        uri = self.exported.ledger_uri
        text = read_uri(uri)
        if text is None:
            raise CannotRun(f"there is no restore ledger at {uri}", "Export again.")
        try:
            ledger: Mapping[str, Any] = json.loads(text)
            whole = "non_finite" in ledger and all(_ROW <= row.keys() for row in ledger["served"])
        except (ValueError, TypeError, KeyError, AttributeError):
            whole = False
        if not whole:
            raise CannotRun(f"{uri} is no restore ledger of this version of Redraw", "Export again.")
        return ledger

    @cached_property
    def source(self) -> CheckpointSource:
        """The checkpoint's tensors.

        Raises:
            CannotRun: It is gone or damaged.
        """
        given = self.checkpoint
        try:
            record = given if isinstance(given, Checkpoint) else find_record(given)
            folder = (given.uri if isinstance(given, Checkpoint) else given).rstrip("/")
            prefix = f"/{record.prefix}" if record is not None and record.prefix else ""
            return open_checkpoint(f"{folder}{prefix}")
        except (CheckpointError, StorageError) as err:
            raise CannotRun(f"the checkpoint cannot be read: {err}", "Name one that is there.") from err

    @cached_property
    def reading(self) -> Reading:
        """All bytes of the export, read once, the weights beside those of the checkpoint.

        Where the index, the ledger or the checkpoint is gone, what depends on it is left out:
        the checks that ask for it say so.
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

    @property
    def definition(self) -> ModelDefinition:
        """The model's definition; the first call imports TensorFlow."""
        return self.standard.definition

    @property
    def definition_assets(self) -> Mapping[str, Path]:
        """Name below `assets/` to the file that the definition would put there, drawn anew."""
        return self.standard.assets

    @property
    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to the definition's examples."""
        return self.standard.golden_examples

    @property
    def held_out_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to requests that training never saw."""
        return self.standard.held_out_examples

    @cached_property
    def served(self) -> LoadedModel:
        """The export, loaded in the serving process.

        Raises:
            LoadFailed: The C++ loader refuses it.
            ServingCrashed: The process died of it.
        """
        return self.serving.load(self.folder)

    @cached_property
    def golden_answers(self) -> Answers:
        """What the server answers to the golden examples.

        Raises:
            RequestRefused: It answers one of them with an error.
            ServingCrashed: The process died of it.
        """
        return _ask(self.served, self.golden_examples)

    @cached_property
    def held_out_answers(self) -> Answers:
        """What the server answers to the held-out examples; raises as `golden_answers`."""
        return _ask(self.served, self.held_out_examples)

    @cached_property
    def served_metrics(self) -> Mapping[str, float]:
        """Metric name to value, of the server's answers to the labelled held-out examples."""
        return self._metrics(self.held_out_answers)

    @cached_property
    def live_served(self) -> LoadedModel | None:
        """The live version, loaded beside the export; None where there is none.

        Raises:
            LoadFailed: The C++ loader refuses it.
        """
        return None if self.live is None else self.serving.load(self.live.folder)

    @cached_property
    def live_metrics(self) -> Mapping[str, float]:
        """As `served_metrics`, of the live version; raises as `golden_answers`."""
        if self.live_served is None:
            raise CannotRun("there is no live version", "Compare with one: --against gs://BUCKET.")
        return self._metrics(_ask(self.live_served, self.held_out_examples))

    @cached_property
    def reference(self) -> tuple[Reference, str]:
        """The checkpoint itself, restored in evaluation mode, and how.

        Raises:
            CheckpointMismatch: It does not fit the definition.
        """
        from tasks.validate.reference import restore_reference

        return restore_reference(self)

    def close(self) -> None:
        """Let go of what was loaded, before the next subject comes."""
        for name in ("served", "live_served"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                opened.close()

    def _metrics(self, answers: Answers) -> Mapping[str, float]:
        """Several signatures with one metric: the first by name tells it."""
        measured: dict[str, float] = {}
        for signature, examples in sorted(self.held_out_examples.items()):
            if examples.labels:
                metrics = self.definition.served_metrics(signature, answers[signature], examples.labels)
                measured = {**metrics, **measured}
        return measured


def _ask(model: LoadedModel, examples: Mapping[str, GoldenExamples]) -> Answers:
    return {name: model.answer(name, example.inputs) for name, example in examples.items()}
