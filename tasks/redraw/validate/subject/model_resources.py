"""What every export of one model is checked against: its definition, its examples, its networks.

Each is made once for all exports that one process examines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from redraw.definition import ConfiguredDefinition, GraphFunctionDefinition, RecordedDefinition
from redraw.records import Check
from redraw.serving.requests import Request, generate_request

if TYPE_CHECKING:
    from redraw.definition import GoldenExamples, ModelDefinition
    from redraw.networks.layers.layer import Model
    from redraw.records import WeightsKind
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.graph_diff.training import TrainingGraph
    from redraw.validate.subject.reference import Reference


@dataclass(kw_only=True)
class GraphResults:
    """Results for one `saved_model.pb`, for the next export with the same file.

    Attributes:
        digest: SHA-256 of the file, in hex.
        graph: The graph, once it has been parsed.
        checks: Name to check, for the checks that passed.
        attachments: File name to text that these checks attached to the report.
    """

    digest: str
    graph: ServingGraph | None = None
    checks: dict[str, Check] = field(default_factory=dict)
    attachments: dict[str, str] = field(default_factory=dict)


class ModelResources:
    """The definition, examples and networks of one model, shared by all of its exports.

    Args:
        model: The model's name.
        trained_at: When the checkpoint was trained; an old one may need an earlier definition.
        latency_seconds: How long requests are timed, all signatures and both batch sizes together.
    """

    def __init__(self, model: str, trained_at: str, *, latency_seconds: float = 0.2) -> None:
        self._model, self._trained_at, self.latency_seconds = model, trained_at, latency_seconds
        self._references: dict[WeightsKind, Reference] = {}
        self._graph_results = GraphResults(digest="")

    def graph_results(self, saved_model: Path) -> GraphResults:
        """The results for a `saved_model.pb`; empty unless the previous export had the same file."""
        digest = hashlib.sha256(saved_model.read_bytes()).hexdigest()
        if self._graph_results.digest != digest:
            self._graph_results = GraphResults(digest=digest)
        return self._graph_results

    @cached_property
    def definition(self) -> ModelDefinition:
        """The model's definition; imports TensorFlow."""
        from redraw.definition.quiet import quiet_import
        from redraw.definition.registry import definition_for

        with quiet_import():
            import tensorflow  # noqa: F401 - the definition imports it, too; here without its log lines
        return definition_for(self._model, self._trained_at)

    @cached_property
    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to the definition's examples, or to a generated request if it has none."""
        from redraw.definition import GoldenExamples

        made = {name: GoldenExamples(inputs=request) for name, request in self.generated_requests.items()}
        return {**made, **self.own_examples}

    @cached_property
    def generated_requests(self) -> Mapping[str, Request]:
        """Signature name to a generated request, for signatures without golden examples."""
        missing = self.definition.signatures.keys() - self.own_examples.keys()
        return {name: generate_request(self.definition.signatures[name].inputs) for name in sorted(missing)}

    @cached_property
    def own_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to the definition's own golden examples."""
        from redraw.definition.examples import read_examples

        return read_examples(self.definition, "golden_examples")

    @cached_property
    def held_out_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to requests that training never saw."""
        from redraw.definition.examples import read_examples

        return read_examples(self.definition, "held_out_examples")

    @cached_property
    def assets(self) -> Mapping[str, Path]:
        """Name below `assets/` to the file that the definition would put there."""
        from redraw.export.graph.drawing import draw_graph

        return draw_graph(self.definition).assets

    @property
    def is_recorded(self) -> bool:
        """Whether the definition names a graph that training recorded."""
        return isinstance(self.definition, RecordedDefinition)

    @property
    def has_original(self) -> bool:
        """Whether the original can be asked: a recorded graph, or a file that Keras itself loads."""
        return isinstance(self.definition, RecordedDefinition | ConfiguredDefinition)

    @cached_property
    def drawn_layers(self) -> Model:
        """The layers of the network that the definition draws for serving."""
        from redraw.export.graph.drawing import draw_layers

        return draw_layers(self.definition)

    @cached_property
    def training_graph(self) -> TrainingGraph:
        """The model's training graph, without the values of its variables.

        Raises:
            CannotRun: The graph cannot be drawn on this machine.
        """
        definition = self.definition
        # After the definition, which imports TensorFlow without its log lines.
        from redraw.validate.graph_diff.training import draw_training_graph

        return draw_training_graph(definition)

    def reference(self, weights: WeightsKind) -> Reference:
        """The definition's networks, drawn for evaluation, before a checkpoint is restored into them."""
        if weights not in self._references:
            self._references[weights] = _draw(self.definition, weights)
        return self._references[weights]

    def close(self) -> None:
        """Free the networks."""
        while self._references:
            self._references.popitem()[1].close()


def _draw(definition: ModelDefinition, weights: WeightsKind) -> Reference:
    # Imported here, because each imports TensorFlow and only the definition tells which one is needed.
    if isinstance(definition, RecordedDefinition) and definition.is_saved_model:
        from redraw.validate.subject.recording.saved_model import SavedModelReference

        return SavedModelReference(definition, weights)
    if isinstance(definition, RecordedDefinition):
        from redraw.validate.subject.recording.untouched import UntouchedReference

        return UntouchedReference(definition, weights)
    if isinstance(definition, GraphFunctionDefinition):
        from redraw.validate.subject.session_reference import SessionReference

        return SessionReference(definition, weights)
    from redraw.validate.subject.network_reference import NetworkReference

    return NetworkReference(definition, weights)
