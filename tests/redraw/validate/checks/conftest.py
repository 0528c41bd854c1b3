"""One SavedModel with a signature for each way to behave, and subjects that look at one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.definition import Budget, GoldenExamples, Signature, TensorSpec
from redraw.records import Checkpoint, ExportedModel, LedgerSummary
from redraw.serving import ServingProcess
from redraw.validate.subject.model_resources import ModelResources
from redraw.validate.subject.subject import Subject
from tests.sample_models.line_module import LineDefinition

_FLOATS = TensorSpec("float32", (None, 4))
_WORDS = TensorSpec("string", (None,))
_NUMBERS = TensorSpec("int32", (None,))
_GOLDEN = {
    "float32": np.linspace(-2, 3, 20, dtype=np.float32).reshape(5, 4),
    "string": np.array([b"1", b"22", b"333"], dtype=object),
    "int32": np.arange(4, dtype=np.int32),
}


class Behaviours(tf.Module):
    """What a served model may do, and what it must not."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable([1.0, 2.0, 3.0, 4.0], name="weight")
        self.mean = tf.Variable([0.0, 0.0, 0.0, 0.0], name="mean")
        self.generator = tf.random.Generator.from_seed(3)
        self.asked = tf.Variable(0, dtype=tf.int64, name="asked")

    def good(self, x: tf.Tensor) -> tf.Tensor:
        return x * self.weight

    def dropout(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.dropout(x * self.weight, 0.5)

    def sampled(self, x: tf.Tensor) -> tf.Tensor:
        return x + self.generator.normal([4])

    def normalised(self, x: tf.Tensor) -> tf.Tensor:
        return (x - tf.reduce_mean(x, axis=0)) * self.weight

    def scaled_by_extreme(self, x: tf.Tensor) -> tf.Tensor:
        return tf.cond(tf.shape(x)[0] > 30, lambda: x / tf.reduce_max(tf.abs(x)), lambda: x)

    def first_row(self, x: tf.Tensor) -> tf.Tensor:
        return x[:1] * self.weight

    def statistics(self, x: tf.Tensor) -> tf.Tensor:
        self.mean.assign(0.9 * self.mean + 0.1 * tf.reduce_mean(x, axis=0))
        return x * self.weight

    def counting(self, x: tf.Tensor) -> tf.Tensor:
        self.asked.assign_add(1)
        return x * self.weight

    def nan_for_some(self, x: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(x)

    def five_rows(self, x: tf.Tensor) -> tf.Tensor:
        return x + tf.zeros([5, 4])

    def lengths(self, x: tf.Tensor) -> tf.Tensor:
        return tf.strings.length(x)

    def decoded(self, x: tf.Tensor) -> tf.Tensor:
        return tf.strings.to_number(x)

    def looked_up(self, x: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.range(100.0, 110.0), x)

    def endless(self, x: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(lambda n: tf.reduce_any(n < 0), lambda n: (tf.minimum(n, 7),), (x,))[0]

    def padded(self, x: tf.Tensor) -> tf.Tensor:
        return tf.strings.unicode_decode(x, "UTF-8").to_tensor(-1)


INPUTS = {"lengths": _WORDS, "decoded": _WORDS, "padded": _WORDS, "looked_up": _NUMBERS, "endless": _NUMBERS}
GUARDED = sorted(name for name in vars(Behaviours) if not name.startswith("_"))


def _signature(module: Behaviours, name: str, guard: bool) -> Any:
    spec = INPUTS.get(name, _FLOATS)

    @tf.function
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        # As an export does it.
        return {"y": getattr(module, name)(tf.ensure_shape(x, spec.shape) if guard else x)}

    return serve.get_concrete_function(tf.TensorSpec(spec.shape, spec.dtype, name="x"))


@pytest.fixture(scope="session")
def behaviours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel with every behaviour as a signature, and `unguarded`, which is `good` for any shape."""
    module, folder = Behaviours(), tmp_path_factory.mktemp("behaviours") / "model"
    signatures = {name: _signature(module, name, True) for name in GUARDED}
    signatures["unguarded"] = _signature(module, "good", False)
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


@pytest.fixture(scope="session")
def serving() -> Iterator[ServingProcess]:
    with ServingProcess() as one:
        yield one


class Asked(LineDefinition):
    """A definition of some of the behaviours; what it serves is not drawn by it."""

    def __init__(self, names: tuple[str, ...], golden: Mapping[str, np.ndarray]) -> None:
        self.golden = golden
        self.signatures = {  # type: ignore[misc]
            name: Signature(inputs={"x": INPUTS.get(name, _FLOATS)}, outputs={"y": _FLOATS}) for name in names
        }

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        return {
            name: GoldenExamples(inputs={"x": self.golden.get(name, _GOLDEN[signature.inputs["x"].dtype])})
            for name, signature in self.signatures.items()
        }


@pytest.fixture
def subject_of(behaviours: Path, serving: ServingProcess, tmp_path: Path) -> Iterator[Callable[..., Subject]]:
    """`subject_of(*behaviours)`: an export that serves them, as a definition says."""
    made: list[Subject] = []

    def make(
        *names: str,
        stateful_ops: tuple[str, ...] = (),
        budget: Budget | None = None,
        golden: Mapping[str, np.ndarray] | None = None,
        folder: Path = behaviours,
    ) -> Subject:
        resources, definition = ModelResources("asked", "2026-01-01T00:00:00Z"), Asked(names, golden or {})
        definition.stateful_ops = stateful_ops  # type: ignore[misc]
        definition.budget = budget or Budget()  # type: ignore[misc]
        resources.__dict__["definition"] = definition
        checkpoint = Checkpoint(
            model="asked", uri="", prefix="", format="tensor_bundle", step=0, trained_at="", digest="",
            size_bytes=0, metrics={}, run="",
        )  # fmt: skip
        exported = ExportedModel(
            model="asked", uri=str(folder), digest="", size_bytes=0, signatures={}, checkpoint=checkpoint,
            weights="raw", ledger=LedgerSummary(served=0, dropped={}), ledger_uri="",
        )  # fmt: skip
        made.append(
            Subject(
                exported=exported, folder=folder, checkpoint=checkpoint, live=None, allow_breaking="",
                resources=resources, serving=serving, scratch=tmp_path,
            )
        )  # fmt: skip
        return made[-1]

    yield make
    for subject in made:
        subject.close()
