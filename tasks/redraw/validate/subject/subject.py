"""An export and everything that it is checked against, each part read when a check first needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from redraw.definition.parts import OutsideReference, near_definition
from redraw.definition.user_code import method_of, running_user_code
from redraw.records import ExaminedObjects, Release
from redraw.serving.requests import Request, cast_request
from redraw.uri import Uri
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.export_files import ExportFiles
from redraw.validate.subject.memory import demand_memory, weight_bytes
from redraw.validate.subject.reference import Reference, restore_reference

if TYPE_CHECKING:
    import numpy as np

    from redraw.definition import GoldenExamples, ModelDefinition
    from redraw.serving import LoadedModel, ServingProcess
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.subject.model_resources import GraphResults, ModelResources

# Signature name to output name to values.
Answers = Mapping[str, Mapping[str, "np.ndarray"]]

T = TypeVar("T")


@dataclass(kw_only=True)
class LiveVersion:
    """The version that the bucket serves now.

    Attributes:
        release: Its record.
        fetch: Copies its files to a local folder and returns the folder.
    """

    release: Release
    fetch: Callable[[], Path]

    @cached_property
    def folder(self) -> Path:
        """The folder of its files, fetched when a check first needs them."""
        return self.fetch()


@dataclass(kw_only=True)
class Subject(ExportFiles):
    """An export under examination.

    Attributes:
        live: The version that it would replace; None if it is not compared with one.
        allow_breaking: The reason to allow a breaking change of signatures; empty to allow none.
        resources: The definition, examples and networks of its model; they outlive the subject.
        serving: The process that answers requests like a server; it outlives the subject as well.
        reference_uri: The outside reference to compare with, instead of the one that the definition names.
        scratch: An empty folder.
        objects: The objects that were read, if the export is in a bucket.
        attachments: File name to text, for the files that checks attach to the report.
    """

    live: LiveVersion | None
    allow_breaking: str
    resources: ModelResources
    serving: ServingProcess
    scratch: Path
    reference_uri: Uri | None = None
    objects: ExaminedObjects | None = None
    attachments: dict[str, str] = field(default_factory=dict)
    # The results of work that was started early, by name; it may still run, or have failed.
    _begun: dict[str, Future[Any]] = field(default_factory=dict, init=False)

    @property
    def definition(self) -> ModelDefinition:
        """The model's definition; the first call imports TensorFlow."""
        return self.resources.definition

    @cached_property
    def graph_results(self) -> GraphResults:
        """The results for `saved_model.pb`, from this export or an earlier one with the same file."""
        return self.resources.graph_results(self.folder / "saved_model.pb")

    @cached_property
    def graph(self) -> ServingGraph:
        """The serving graph, parsed once for successive exports with the same file."""
        if self.graph_results.graph is None:
            self.graph_results.graph = super().graph
        return self.graph_results.graph

    @property
    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to the definition's examples."""
        return self.resources.golden_examples

    @cached_property
    def golden_requests(self) -> Mapping[str, Request]:
        """Signature name to the golden examples as a request, in the signature's dtypes."""
        signatures = self.definition.signatures
        return {
            name: cast_request(examples.inputs, signatures[name].inputs)
            for name, examples in sorted(self.golden_examples.items())
        }

    @property
    def held_out_examples(self) -> Mapping[str, GoldenExamples]:
        """Signature name to requests that training never saw."""
        return self.resources.held_out_examples

    @property
    def served(self) -> LoadedModel:
        """The export, loaded in the serving process.

        Raises:
            CannotRun: There is too little memory for it.
            LoadFailed: The C++ loader refuses it.
            ServingCrashed: The serving process crashed while it loaded.
        """
        return self._loaded[0]

    @property
    def variables_at_load(self) -> Mapping[str, str]:
        """Variable name to a digest of its value before the first request.

        Raises:
            RedrawError: The export could not be loaded.
        """
        return self._loaded[1]

    def load_ahead(self) -> None:
        """Start to load the export in the background; `served` returns the result or raises its error."""
        self._begin(loaded=self._load)

    def compare_ahead(self) -> None:
        """Start to restore the checkpoint and ask it the examples, in the background; `settle` waits."""
        self._begin(
            reference=self._restore,
            golden=lambda: self._expect(self.golden_examples),
            held_out=lambda: self._expect(self.held_out_examples),
        )

    def settle(self) -> None:
        """Wait for background work, so that a check that measures time has the machine for itself."""
        wait(self._begun.values())

    def _begin(self, **functions: Callable[[], object]) -> None:
        """Call functions one after another in another thread."""
        pool = ThreadPoolExecutor(1)
        self._begun |= {what: pool.submit(function) for what, function in functions.items()}
        pool.shutdown(wait=False)

    def _begun_or_now(self, what: str, function: Callable[[], T]) -> T:
        begun: Future[T] | None = self._begun.get(what)
        return function() if begun is None else begun.result()

    @cached_property
    def _loaded(self) -> tuple[LoadedModel, Mapping[str, str]]:
        return self._begun_or_now("loaded", self._load)

    def _load(self) -> tuple[LoadedModel, Mapping[str, str]]:
        model = self._serve(self.folder)
        return model, model.digest_variables()

    def _serve(self, folder: Path) -> LoadedModel:
        demand_memory(f"to load {folder}", weight_bytes(folder))
        return self.serving.load(folder, declared=lambda: self.definition.stateful_ops)

    @property
    def outside(self) -> OutsideReference:
        """The outside reference, with its full URI; an empty one if none is named."""
        named = self.definition.reference
        if self.reference_uri is not None:
            return replace(named, uri=str(self.reference_uri.absolute()))
        return replace(named, uri=str(near_definition(self.definition, named.uri))) if named.uri else named

    def load_reference(self, folder: Path) -> LoadedModel:
        """Load an outside SavedModel like the export, with the same errors as `served`."""
        return self._serve(folder)

    @cached_property
    def golden_answers(self) -> Answers:
        """The server's answers to the golden examples.

        Raises:
            RequestRefused: It answers one of them with an error.
            ServingCrashed: The serving process crashed while it answered.
        """
        return self._ask(self.served, self.golden_examples)

    @cached_property
    def held_out_answers(self) -> Answers:
        """The server's answers to the held-out examples, with the errors of `golden_answers`."""
        return self._ask(self.served, self.held_out_examples)

    @cached_property
    def served_metrics(self) -> Mapping[str, float]:
        """Metric name to value, measured on the server's answers to the labelled held-out examples."""
        return self._metrics(self.held_out_answers)

    @cached_property
    def live_served(self) -> LoadedModel | None:
        """The live version, loaded next to the export; None if there is none.

        Raises:
            CannotRun: There is too little memory for it.
            LoadFailed: The C++ loader refuses it.
        """
        return None if self.live is None else self._serve(self.live.folder)

    @cached_property
    def live_metrics(self) -> Mapping[str, float]:
        """Metric name to value, measured on the live version's answers to the same examples.

        Raises:
            CannotRun: There is no live version.
            RequestRefused: It answers an example with an error.
        """
        return self._metrics(self._live_answers)

    @cached_property
    def _live_answers(self) -> Answers:
        if self.live_served is None:
            raise CannotRun(
                "there is no live version", "To compare with a live version, add --against gs://BUCKET."
            )
        return self._ask(self.live_served, self.held_out_examples)

    def metrics_of_draw(self, random: np.random.Generator) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """Metrics of the export and of the live version on held-out requests drawn with replacement.

        The draw has as many requests as there are.
        """
        draws = {
            name: random.integers(0, rows, rows)
            for name, example in self.held_out_examples.items()
            if example.labels and (rows := len(next(iter(example.labels.values()))))
        }
        return self._metrics(self.held_out_answers, draws), self._metrics(self._live_answers, draws)

    @cached_property
    def reference(self) -> tuple[Reference, str]:
        """The checkpoint itself, restored in evaluation mode, and how.

        Raises:
            CheckpointMismatch: It does not fit the definition.
            CannotRun: There is too little memory for it.
        """
        return self._begun_or_now("reference", self._restore)

    @cached_property
    def golden_answers_expected(self) -> Answers:
        """The checkpoint's own answers to the golden examples, with the errors of `reference`."""
        return self._begun_or_now("golden", lambda: self._expect(self.golden_examples))

    @cached_property
    def held_out_answers_expected(self) -> Answers:
        """The checkpoint's own answers to the held-out examples, with the errors of `reference`."""
        return self._begun_or_now("held_out", lambda: self._expect(self.held_out_examples))

    def close(self) -> None:
        """Unload the export and the live version, before the next subject."""
        self.settle()
        loaded, live = self.__dict__.pop("_loaded", None), self.__dict__.pop("live_served", None)
        loading = self._begun.get("loaded")
        if loaded is None and loading is not None and loading.exception() is None:
            loaded = loading.result()  # no check needed it
        for model in (loaded and loaded[0], live):
            if model is not None:
                model.close()

    def _restore(self) -> tuple[Reference, str]:
        recorded = self.resources.is_recorded
        return restore_reference(self, self.resources.reference, self.scratch, recorded=recorded)

    def _expect(self, examples: Mapping[str, GoldenExamples]) -> Answers:
        reference, _ = self.reference
        return {name: reference.answer(name, example.inputs) for name, example in examples.items()}

    def _metrics(
        self, answers: Answers, draws: Mapping[str, np.ndarray] | None = None
    ) -> Mapping[str, float]:
        """Metrics of all rows, or of the drawn ones.

        If several signatures have the same metric, the first signature by name wins.
        """
        measured: dict[str, float] = {}
        for signature, examples in sorted(self.held_out_examples.items()):
            if examples.labels:
                where = method_of(self.definition, f"served_metrics, signature {signature!r},")
                with running_user_code(where):
                    outputs, labels = answers[signature], examples.labels
                    if draws is not None:
                        outputs, labels = (_rows_of(part, draws[signature]) for part in (outputs, labels))
                    metrics = self.definition.served_metrics(signature, outputs, labels)
                    measured = {**{name: float(value) for name, value in metrics.items()}, **measured}
        return measured

    def _ask(self, model: LoadedModel, examples: Mapping[str, GoldenExamples]) -> Answers:
        signatures = self.definition.signatures
        return {
            name: model.answer(name, cast_request(example.inputs, signatures[name].inputs))
            for name, example in examples.items()
        }


def _rows_of(tensors: Mapping[str, np.ndarray], rows: np.ndarray) -> Mapping[str, np.ndarray]:
    return {name: values[rows] for name, values in tensors.items()}
