"""The definition of a model by its recorded training graph, without writing the network again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from redraw.definition.graph_function import GraphFunctionDefinition, sharing_variables
from redraw.definition.parts import GoldenExamples, Mode, near_definition
from redraw.errors import InvalidDefinition
from redraw.uri import Uri

if TYPE_CHECKING:
    import tensorflow as tf

    from redraw.recorded.reading import Recording
    from redraw.recorded.redrawing import Redrawn

_GOLDEN_ROWS = 16


class RecordedDefinition(GraphFunctionDefinition):
    """A model by its recorded graph: a `.meta` or `graph.pbtxt` of training, or a SavedModel's.

    `redraw draft` writes one. It needs neither the model's code nor its data: operations that only training
    needs are removed from the graph, and validation compares the export with the original graph's answers. It
    can be exported, but not trained.

    Attributes:
        recording: The file, local or in a bucket; a relative path begins at the definition's folder.
        digest: The file's SHA-256, in hex; another file is refused. Empty for any.
        inputs: Input name to the tensor of the recording at which a request enters; `signature/name` for a
            signature with another tensor than the others.
        outputs: Output name to the tensor that answers; `signature/name` for a signature with another one.
        constants: Tensor or variable to its fixed value, such as `is_training` to False.
        files: The name of a lookup table's file to its URI, unless it is next to the recording.

    Example:
        class Churn(RecordedDefinition):
            recording = "gs://old/churn/model.ckpt-9000.meta"
            inputs = {"x": "x"}
            outputs = {"probability": "prob"}
            constants = {"is_training": False}
            signatures = {
                "serving_default": Signature(
                    inputs={"x": TensorSpec("float32", (None, 10))},
                    outputs={"probability": TensorSpec("float32", (None, 3))},
                )
            }
    """

    recording: ClassVar[str]
    digest: ClassVar[str] = ""
    inputs: ClassVar[Mapping[str, str]]
    outputs: ClassVar[Mapping[str, str]]
    constants: ClassVar[Mapping[str, Any]] = {}
    files: ClassVar[Mapping[str, str]] = {}

    @property
    def recording_uri(self) -> Uri:
        """The URI of the recording."""
        return near_definition(self, self.recording)

    @property
    def is_saved_model(self) -> bool:
        """Whether the recording is a SavedModel's graph."""
        return self.opened.is_saved_model

    @cached_property
    def opened(self) -> Recording:
        """The original recording.

        Raises:
            CheckpointNotFound: There is no file.
            CheckpointCorrupt: It is no recording, or its digest is not `digest`.
        """
        from redraw.recorded.reading import read_recording

        return read_recording(self.recording_uri, self.digest or None)

    @cached_property
    def redrawn(self) -> Redrawn:
        """The graph for serving.

        Raises:
            InvalidDefinition: The recording cannot be served like this; the message says why.
        """
        from redraw.recorded.redrawing import Selection, redraw_recording

        shapes = {
            self.cut_of(signature, name): spec.shape
            for signature, entry in self.signatures.items()
            for name, spec in entry.inputs.items()
        }
        inputs = {name: (tensor, shapes.get(name)) for name, tensor in self.inputs.items()}
        choices = Selection(
            inputs=inputs, outputs=self.outputs, constants=self.constants, random_ops=self.stateful_ops
        )
        return redraw_recording(self.opened, choices)

    def cut_of(self, signature: str, name: str) -> str:
        """The key in `inputs` of a signature's input."""
        return _own_name(signature, name, self.inputs)

    def answer_of(self, signature: str, name: str) -> str:
        """The key in `outputs` of a signature's output."""
        return _own_name(signature, name, self.outputs)

    def build(self, mode: Mode) -> Callable[[Any], Any]:
        """The network for `serve`; it draws the same graph for every mode."""
        return sharing_variables(lambda question: self._draw(*question))

    def graph(self, mode: Mode, features: Any) -> Any:
        """Draw every output of the recording, which is the same for every mode.

        Args:
            mode: What the graph is for.
            features: Input name to tensor.

        Returns:
            Output name to tensor.
        """
        return self._draw(self.outputs, features)

    def _draw(self, names: Iterable[str], features: Mapping[str, Any]) -> dict[str, Any]:
        from redraw.recorded.drawing import draw_redrawn

        versions = self.opened.meta_graph.graph_def.versions
        return draw_redrawn(self.redrawn, features, names, self.files, versions)

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        """Answer with the outputs that the signature names."""
        names = {name: self.answer_of(signature, name) for name in self.signatures[signature].outputs}
        features = {self.cut_of(signature, name): tensor for name, tensor in inputs.items()}
        answers = network((tuple(dict.fromkeys(names.values())), features))
        return {name: answers[answer] for name, answer in names.items()}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """Requests generated from dtypes, shapes and vocabularies, because old models have no examples."""
        return self.generate_examples(_GOLDEN_ROWS)

    def generate_examples(self, rows: int) -> Mapping[str, GoldenExamples]:
        """Generate requests; override `golden_examples` if the values must have a meaning.

        Args:
            rows: How many rows for each signature.

        Returns:
            Signature name to requests, the same each time.
        """
        from redraw.recorded.examples import generate_request

        return {
            name: GoldenExamples(inputs=generate_request(self.redrawn, signature, rows, cuts))
            for name, signature in self.signatures.items()
            for cuts in [{key: self.cut_of(name, key) for key in signature.inputs}]
        }

    def check_trainable(self) -> None:
        """Refuse to train.

        Raises:
            InvalidDefinition: Always, because a recording can only be exported.
        """
        raise InvalidDefinition(
            f"definition {type(self).__module__}.{type(self).__name__}: expected a definition that can"
            " train, got a recorded graph, which can only be exported. To train, write a"
            " GraphFunctionDefinition."
        )

    def check(self) -> None:
        """Check the definition, and that `inputs` and `outputs` have each signature's tensors.

        Raises:
            InvalidDefinition: It breaks the contract of definitions, or a tensor is missing.
        """
        where = f"definition {type(self).__module__}.{type(self).__name__}"
        for attribute in ("recording", "inputs", "outputs"):
            if not getattr(self, attribute, None):
                raise InvalidDefinition(
                    f"{where}: expected {attribute}, got none. Draft the definition with 'redraw draft'."
                )
        super().check()
        for name, signature in self.signatures.items():
            inputs = [self.cut_of(name, key) for key in signature.inputs]
            outputs = [self.answer_of(name, key) for key in signature.outputs]
            _demand_named(f"{where}, signature {name!r}", inputs, outputs, self)


def _own_name(signature: str, name: str, among: Mapping[str, str]) -> str:
    own = f"{signature}/{name}"
    return own if own in among else name


def _demand_named(where: str, inputs: list[str], outputs: list[str], definition: RecordedDefinition) -> None:
    for kind, names, tensors in (
        ("input", inputs, definition.inputs),
        ("output", outputs, definition.outputs),
    ):
        unknown = sorted(set(names) - set(tensors))
        if unknown:
            raise InvalidDefinition(
                f"{where}: expected only {kind}s that the definition's attribute {kind}s maps to tensors"
                f" ({sorted(tensors)}), got {', '.join(unknown)}. Add a tensor of the recorded graph for"
                " each."
            )
