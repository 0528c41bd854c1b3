"""What messages advise, followed to the end: right answers, or refused still."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.definition import GraphFunctionDefinition, Mode, ModelDefinition, TensorSpec
from redraw.errors import CheckpointMismatch
from redraw.export.prepared import PreparedModel
from tests.defects.tiny import Arrays, Tensors, Tiny, normal, one_signature
from tests.foreign.test_answers import quiet, save
from tests.kits import forget_names

v1 = tf.compat.v1
X = normal(5, 3)
Y = TensorSpec("float32", (None, 3))
FORMATS = ("keras", "h5", "weights.h5", "ckpt", "keras-2.h5", "keras-2.weights.h5", "keras-2.ckpt")
_RENAMES = re.compile(r"renames = \((.*)\)\.")
_PAIR = re.compile(r"\('([^']+)', '([^']+)'\)")
_ORPHAN = re.compile(r"average '([^']+)': .* nearest weight without an average: ([^;]+); all")
_MOST_ROUNDS = 5

# A layer each: what it is, and its name. Name to those of the file, and those of the definition.
Chain = tuple[tuple[str, str], ...]
CHAINS: dict[str, tuple[Chain, Chain]] = {
    "one-renamed": ((("dense", "a"), ("tanh", "b")), (("dense", "a"), ("tanh", "c"))),
    "both-renamed": ((("dense", "a"), ("tanh", "b")), (("dense", "c"), ("tanh", "d"))),
    "counted": ((("dense", "d_1"), ("tanh", "d_2")), (("dense", "d_2"), ("tanh", "d_3"))),
    "counted-and-renamed": ((("dense", "d_1"), ("norm", "n")), (("dense", "d_7"), ("norm", "m"))),
    "kinds-renamed": ((("dense", "a"), ("norm", "n")), (("dense", "b"), ("norm", "m"))),
    "other-kind": ((("dense", "a"), ("norm", "n")), (("dense", "a"), ("layer-norm", "n"))),
    "other-kind-renamed": ((("dense", "a"), ("norm", "n")), (("dense", "a"), ("layer-norm", "m"))),
    "missing": ((("dense", "a"), ("norm", "n"), ("tanh", "b")), (("dense", "a"), ("tanh", "b"))),
    "additional": ((("dense", "a"), ("tanh", "b")), (("dense", "a"), ("tanh", "b"), ("norm", "n"))),
    "replaced": (
        (("dense", "a"), ("tanh", "b"), ("wide", "w")),
        (("dense", "a"), ("wide", "v"), ("tanh", "c")),
    ),
}  # fmt: skip


def network(kit: Any, layers: Chain) -> Any:
    kinds: dict[str, Callable[[str], Any]] = {
        "dense": lambda name: kit.layers.Dense(3, name=name),
        "tanh": lambda name: kit.layers.Dense(3, activation="tanh", name=name),
        "wide": lambda name: kit.Sequential([kit.layers.Dense(5), kit.layers.Dense(3)], name=name),
        "norm": lambda name: kit.layers.BatchNormalization(name=name),
        "layer-norm": lambda name: kit.layers.LayerNormalization(name=name),
    }
    x = kit.Input((3,), name="x")
    y = x
    for kind, name in layers:
        y = kinds[kind](name)(y)
    return kit.Model(x, y, name="net")


class Chained(Tiny):
    """A network by its list of layers."""

    layers: Chain
    signatures = one_signature({"x": TensorSpec("float32", (None, 3))}, y=Y)

    def rows(self, count: int) -> Arrays:
        return {"x": X}

    def build(self, mode: Mode) -> Any:
        return network(keras, self.layers)

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return {"y": network(inputs["x"], training=False)}


def follow(kind: type[ModelDefinition], path: Path, folder: Path) -> tuple[np.ndarray | None, bool]:
    """Export, applying what each refusal advises.

    Returns:
        The answers, or None if the last refusal advises nothing to apply; and whether any was applied.
    """
    applied: dict[str, Any] = {}
    for number in range(_MOST_ROUNDS):
        definition = type("Advised", (kind,), applied)()
        out = folder / f"out-{number}"
        out.mkdir()
        try:
            prepared = PreparedModel(definition)
            prepared.write(open_checkpoint(path), definition.weights, out, allow_non_finite=False)
        except CheckpointMismatch as err:
            renames = advised_renames(str(err))
            if not renames or set(renames) <= set(applied.get("renames", ())):
                return None, bool(applied)
            applied["renames"] = (*applied.get("renames", ()), *renames)
        else:
            served = tf.saved_model.load(str(out)).signatures["serving_default"]
            answer: np.ndarray = served(x=tf.constant(X))["y"].numpy()
            return answer, bool(applied)
    return None, True


def advised_renames(message: str) -> tuple[tuple[str, str], ...]:
    if found := _RENAMES.search(message):
        return tuple(_PAIR.findall(found[1]))  # the first of many; the next message has more
    if (orphan := _ORPHAN.search(message)) and orphan[2] != "none":
        return ((orphan[2], orphan[1]),)
    return ()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", CHAINS)
def test_advice_on_layers_that_is_followed_answers_rightly_or_is_refused(
    name: str, form: str, tmp_path: Path
) -> None:
    theirs, ours = CHAINS[name]
    kit = tf_keras if form.startswith("keras-2") else keras
    with quiet():
        forget_names(kit)
        made = network(kit, theirs)
        rng = np.random.default_rng(len(name))
        made.set_weights([rng.uniform(0.1, 0.9, value.shape) for value in made.get_weights()])
        expected = np.asarray(made(X, training=False))
        kind = type("Kind", (Chained,), {"layers": ours})
        answers, advised = follow(kind, save(made, form, tmp_path), tmp_path)
    # Other kinds of layers in places of the same shapes are no matter of advice: a file of only weights
    # cannot tell, and of one with a configuration the check file-configuration does.
    if answers is not None and (advised or [kind for kind, _ in theirs] == [kind for kind, _ in ours]):
        np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)


class Scopes(GraphFunctionDefinition, Tiny):
    """Dense layers of TF1, one after the other, by their scopes."""

    scopes: tuple[str, ...]
    signatures = Chained.signatures

    def rows(self, count: int) -> Arrays:
        return {"x": X}

    def graph(self, mode: Mode, features: Any) -> Any:
        y = features["x"] if isinstance(features, dict) else features
        for scope in self.scopes:
            with v1.variable_scope(scope):
                y = tf.tanh(y @ v1.get_variable("w", [3, 3]) + v1.get_variable("b", [3]))
        return y


_SCOPES = (
    (("a", "b"), ("a", "c")),
    (("a", "b"), ("c", "d")),
    (("t_1", "t_2"), ("t_2", "t_3")),
    (("t_1", "t_2"), ("t_0", "t_1")),
    (("t", "t_1"), ("t_1", "t_2")),
    (("a", "b", "c"), ("a", "b")),
    (("net/a", "net/b"), ("a", "b")),
    (("a", "b"), ("net/a", "net/b")),
)
# What became of the averages' names.
_AVERAGED: dict[str, Callable[[str], str]] = {
    "as-named": lambda name: name,
    "doubled": lambda name: f"{name.rpartition('/')[0]}/{name}",
    "doubled-last": lambda name: f"b/{name}" if name.startswith("b/") else name,
    "shifted": lambda name: re.sub(r"_(\d)", lambda found: f"_{int(found[1]) + 1}", name),
    "in-training": lambda name: f"training/{name}",
}


@pytest.mark.parametrize("averages", ["raw", *_AVERAGED])
@pytest.mark.parametrize(("theirs", "ours"), [*_SCOPES, (("a", "b"), ("a", "b")), (("t_1", "t_2"),) * 2])
def test_advice_on_scopes_and_averages_that_is_followed_answers_rightly_or_is_refused(
    theirs: tuple[str, ...], ours: tuple[str, ...], averages: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(len(averages))
    parts = [(f"{scope}/{part}", shape) for scope, (part, shape) in itertools.product(theirs, _PARTS.items())]
    values = {name: rng.normal(size=shape).astype(np.float32) for name, shape in parts}
    saved = dict(values)
    if averages != "raw":
        values = {name: value * 0.5 for name, value in values.items()}
        rename = _AVERAGED[averages]
        saved |= {f"{rename(name)}/ExponentialMovingAverage": value for name, value in values.items()}
    expected = X
    for scope in theirs:
        expected = np.tanh(expected @ values[f"{scope}/w"] + values[f"{scope}/b"])
    with tf.Graph().as_default(), v1.Session() as session:
        variables = {name: v1.get_variable(name, initializer=value) for name, value in saved.items()}
        session.run(v1.global_variables_initializer())
        path = v1.train.Saver(variables).save(session, str(tmp_path / "model.ckpt"), 7)
    kind = type("Kind", (Scopes,), {"scopes": ours, "weights": "raw" if averages == "raw" else "average"})
    answers, _ = follow(kind, Path(path), tmp_path)
    if answers is not None:
        np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)


_PARTS = {"w": (3, 3), "b": (3,)}
