"""What every export of one model is checked against: its definition, its examples, its networks.

Each is made once, however many exports are examined in turn.
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
class KnownGraph:
    """What was found of one `saved_model.pb`, for the next export that has the very same.

    Attributes:
        digest: SHA-256 of the file, in hex.
        graph: The graph, once it was parsed.
        checks: Name to check, of those that passed.
        attachments: What these made to be looked at.
    """

    digest: str
    graph: ServingGraph | None = None
    checks: dict[str, Check] = field(default_factory=dict)
    attachments: dict[str, str] = field(default_factory=dict)


class Standard:
    """The standard of one model.

    Args:
        model: The model's name.
        trained_at: When the checkpoint was trained: it may need an earlier definition.
        latency_seconds: How long requests are timed, all signatures and both batch sizes together.
    """

    def __init__(self, model: str, trained_at: str, *, latency_seconds: float = 0.2) -> None:
        self._model, self._trained_at, self.latency_seconds = model, trained_at, latency_seconds
        self._references: dict[WeightsKind, Reference] = {}
        self._known = KnownGraph(digest="")

    def known_graph(self, saved_model: Path) -> KnownGraph:
        """What is known of a `saved_model.pb`: nothing yet, unless the export before had the same."""
        digest = hashlib.sha256(saved_model.read_bytes()).hexdigest()
        if self._known.digest != digest:
            self._known = KnownGraph(digest=digest)
        return self._known

    @cached_property
    def definition(self) -> ModelDefinition:
        """The model's definition; imports TensorFlow."""
        from redraw.definition.quiet import quiet_import
        from redraw.definition.registry import definition_for

        with quiet_import():
            import tensorflow  # noqa: F401 - imported by the definition; here without its chatter
        return definition_for(self._model, self._trained_at)

    @cached_property
    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to the definition's examples; to a generated request where it has none."""
        from redraw.definition import GoldenExamples

        made = {name: GoldenExamples(inputs=request) for name, request in self.generated_requests.items()}
        return {**made, **self.own_examples}

    @cached_property
    def generated_requests(self) -> Mapping[str, Request]:
        """Signature name to a request, of the signatures for which the definition has no golden examples."""
        missing = self.definition.signatures.keys() - self.own_examples.keys()
        return {name: generate_request(self.definition.signatures[name].inputs) for name in sorted(missing)}

    @cached_property
    def own_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to the golden examples that the definition gives itself."""
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
        """Whether something untouched can be asked: a recorded graph, or a file that Keras itself loads."""
        return isinstance(self.definition, RecordedDefinition | ConfiguredDefinition)

    @cached_property
    def drawn_layers(self) -> Model:
        """The layers of the network that the definition draws for serving."""
        from redraw.export.graph.drawing import draw_layers

        return draw_layers(self.definition)

    @cached_property
    def training_graph(self) -> TrainingGraph:
        """The graph that trains it, with no value of any variable.

        Raises:
            CannotRun: It cannot be drawn here.
        """
        definition = self.definition
        # Not before the definition, which imports TensorFlow without its chatter.
        from redraw.validate.graph_diff.training import draw_training_graph

        return draw_training_graph(definition)

    def reference(self, weights: WeightsKind) -> Reference:
        """The definition's networks, drawn for evaluation; a checkpoint has yet to be restored under them."""
        if weights not in self._references:
            self._references[weights] = _drawn(self.definition, weights)
        return self._references[weights]

    def close(self) -> None:
        """Let go of the networks."""
        while self._references:
            self._references.popitem()[1].close()


def _drawn(definition: ModelDefinition, weights: WeightsKind) -> Reference:
    # Imported here: each imports TensorFlow, and what a batch needs is known when its definition is.
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
