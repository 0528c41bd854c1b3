"""Defects of the contract: what callers send and get under which name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import tensorflow as tf

from redraw.definition import GoldenExamples, Signature, TensorSpec
from redraw.definition.registry import load_definition
from redraw.models.digits_graph import DigitsGraph
from redraw.models.mnist import Mnist
from redraw.models.recommender import Recommender
from tests.defects.bases import Bases, export_definition
from tests.defects.planting import (
    Defect,
    Specimen,
    copy_of,
    edit_graph,
    planted,
    planted_in_definition,
    planted_in_graph,
    sealed,
)

__all__ = ["DEFECTS"]

_DEFAULT = "serving_default"
_INT32 = 3


@planted_in_graph("mnist", "signatures")
def input_renamed(meta_graph: Any) -> None:
    """Each caller gets an error, for the server knows no input of the name that they send."""
    inputs = meta_graph.signature_def[_DEFAULT].inputs
    inputs["images"].CopyFrom(inputs.pop("image"))


@planted_in_graph("text_classifier", "signatures")
def output_missing(meta_graph: Any) -> None:
    """Callers that read it fail."""
    del meta_graph.signature_def[_DEFAULT].outputs["topic"]


@planted_in_graph("digits_graph", "signatures")
def signature_missing(meta_graph: Any) -> None:
    """All who send PNG files get an error."""
    del meta_graph.signature_def["serving_png"]


@planted_in_graph("mnist", "signatures")
def signature_nobody_asked_for(meta_graph: Any) -> None:
    """A debugging entry is served, and somebody comes to depend on it."""
    meta_graph.signature_def["debug"].CopyFrom(meta_graph.signature_def[_DEFAULT])


@planted_in_graph("digits_graph", "signatures")
def fixed_batch(meta_graph: Any) -> None:
    """The server cannot batch requests, and clients that send two rows get an error."""
    for node in meta_graph.graph_def.node:
        if node.name == "serving_default_image":
            node.attr["shape"].shape.dim[0].size = 1
    signature = meta_graph.signature_def[_DEFAULT]
    for tensor in (*signature.inputs.values(), *signature.outputs.values()):
        tensor.tensor_shape.dim[0].size = 1


@planted_in_graph("recommender", "signatures")
def shape_left_unknown(meta_graph: Any) -> None:
    """Callers cannot tell what to send, and a wrong shape goes as far as the network."""
    tensor = meta_graph.signature_def[_DEFAULT].outputs["chance"]
    tensor.tensor_shape.Clear()
    tensor.tensor_shape.unknown_rank = True


@planted_in_graph("recommender", "signatures")
def dtype_that_the_tensor_has_not(meta_graph: Any) -> None:
    """The signature promises int32, the graph wants int64: each request is refused."""
    meta_graph.signature_def[_DEFAULT].inputs["user"].dtype = _INT32


@planted_in_graph("digits_graph", "signatures")
def signature_of_a_tensor_that_is_not_there(meta_graph: Any) -> None:
    """The server refuses the version, or each request."""
    meta_graph.signature_def[_DEFAULT].outputs["digit"].name = "ArgMax_9:0"


@planted_in_graph("mnist", "method-names")
def serving_default_missing(meta_graph: Any) -> None:
    """Clients that name no signature, as most do, get an error."""
    meta_graph.signature_def["predict"].CopyFrom(meta_graph.signature_def.pop(_DEFAULT))


@planted_in_graph("text_classifier", "method-names")
def method_name_missing(meta_graph: Any) -> None:
    """TensorFlow Serving refuses each request for a signature without a method it knows."""
    meta_graph.signature_def[_DEFAULT].method_name = ""


@planted_in_graph("digits_graph", "method-names")
def method_of_another_api(meta_graph: Any) -> None:
    """The server answers Predict requests to it with an error: it says that it classifies."""
    meta_graph.signature_def[_DEFAULT].method_name = "tensorflow/serving/classify"


@planted_in_definition("mnist", "signatures")
class Int32ForInt64(Mnist):
    """Typed clients fail to read the digit, for it has another dtype."""

    signatures: ClassVar[Mapping[str, Signature]] = {
        name: Signature(
            inputs=signature.inputs, outputs={**signature.outputs, "digit": TensorSpec("int32", (None,))}
        )
        for name, signature in Mnist.signatures.items()
    }

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        answer = super().serve(network, signature, inputs)
        return {**answer, "digit": tf.cast(answer["digit"], tf.int32)}


@planted_in_definition("digits_graph", "signatures")
class FlatPixels(DigitsGraph):
    """Clients that send images of 28 by 28 get an error: it wants 784 numbers in a row."""

    signatures: ClassVar[Mapping[str, Signature]] = {
        **DigitsGraph.signatures,
        _DEFAULT: Signature(
            inputs={"image": TensorSpec("uint8", (None, 784))},
            outputs=DigitsGraph.signatures[_DEFAULT].outputs,
        ),
    }

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        if signature == _DEFAULT:
            inputs = {"image": tf.reshape(inputs["image"], [-1, 28, 28])}
        return super().serve(network, signature, inputs)

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        examples = dict(super().golden_examples())
        images = examples[_DEFAULT].inputs["image"]
        return {**examples, _DEFAULT: GoldenExamples(inputs={"image": images.reshape(-1, 784)})}


class Classifier(DigitsGraph):
    """Right: the two likeliest digits, and how likely they are."""

    signatures: ClassVar[Mapping[str, Signature]] = {
        _DEFAULT: DigitsGraph.signatures[_DEFAULT],
        "classify": Signature(
            inputs={"image": TensorSpec("uint8", (None, 28, 28))},
            outputs={
                "first": TensorSpec("int64", (None,)),
                "second": TensorSpec("int64", (None,)),
            },
        ),
    }

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        answer = super().serve(network, _DEFAULT, inputs)
        if signature == _DEFAULT:
            return answer
        best = tf.cast(tf.math.top_k(answer["probabilities"], 2).indices, tf.int64)
        return {"first": best[:, 0], "second": best[:, 1]}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        examples = super().golden_examples()[_DEFAULT]
        return {_DEFAULT: examples, "classify": GoldenExamples(inputs=examples.inputs)}


@planted("digits_graph", "golden-examples")
def outputs_of_a_classify_signature_swapped(bases: Bases) -> Specimen:
    """The second guess is answered for the first: names, dtypes and shapes are all right."""
    exported = export_definition(Classifier(), bases.checkpoint("digits_graph"), bases.new_folder("defect"))

    def swap(meta_graph: Any) -> None:
        outputs = meta_graph.signature_def["classify"].outputs
        outputs["first"].name, outputs["second"].name = outputs["second"].name, outputs["first"].name

    edit_graph(Path(exported.uri), swap)
    return Specimen(exported=sealed(exported), definition=Classifier())


class Unasked(Classifier):
    """Right, but without golden examples of the signature that classifies."""

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        return {_DEFAULT: super().golden_examples()[_DEFAULT]}


@planted("digits_graph", "golden-examples")
def outputs_of_a_signature_without_examples_swapped(bases: Bases) -> Specimen:
    """Nobody has given a request for it, and it answers the second guess for the first."""
    exported = export_definition(Unasked(), bases.checkpoint("digits_graph"), bases.new_folder("defect"))

    def swap(meta_graph: Any) -> None:
        outputs = meta_graph.signature_def["classify"].outputs
        outputs["first"].name, outputs["second"].name = outputs["second"].name, outputs["first"].name

    edit_graph(Path(exported.uri), swap)
    return Specimen(exported=sealed(exported), definition=Unasked())


@planted_in_definition("digits_graph", "row-independence", Unasked)
class SumsOverTheBatch(Unasked):
    """A signature without golden examples answers by what other clients send."""

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        answer = super().serve(network, signature, inputs)
        if signature == _DEFAULT:
            return answer
        return {**answer, "second": answer["second"] + tf.shape(answer["first"], tf.int64)[0]}


@planted_in_definition("digits_graph", "repeatable", Unasked)
class DrawsLots(Unasked):
    """A signature without golden examples answers at random."""

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        answer = super().serve(network, signature, inputs)
        if signature == _DEFAULT:
            return answer
        lots = tf.random.uniform(tf.shape(answer["first"]), maxval=1 << 30, dtype=tf.int64)
        return {**answer, "second": answer["second"] + lots}


@planted_in_definition("digits_graph", "loads", Unasked)
class RefusesAll(Unasked):
    """A signature without golden examples refuses every request."""

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        answer = super().serve(network, signature, inputs)
        if signature == _DEFAULT:
            return answer
        with tf.control_dependencies([tf.debugging.assert_less(answer["first"], tf.zeros([], tf.int64))]):
            return {name: tf.identity(value) for name, value in answer.items()}


@planted("mnist", "live-signatures")
def signature_dropped_that_is_live(bases: Bases) -> Specimen:
    """Definition and export agree on it; the clients of the live version do not."""

    class WithoutPng(Mnist):
        """MNIST, only from pixels."""

        signatures: ClassVar[Mapping[str, Signature]] = {_DEFAULT: Mnist.signatures[_DEFAULT]}

        def golden_examples(self) -> Mapping[str, GoldenExamples]:
            return {_DEFAULT: super().golden_examples()[_DEFAULT]}

    return _replacing(bases, "mnist", WithoutPng())


@planted("recommender", "live-signatures")
def input_narrowed_that_is_live(bases: Bases) -> Specimen:
    """Clients of the live version send int64, which the new one refuses."""

    class Narrow(Recommender):
        """Recommender for few users."""

        signatures: ClassVar[Mapping[str, Signature]] = {
            _DEFAULT: Signature(
                inputs={"user": TensorSpec("int32", (None,)), "item": TensorSpec("int32", (None,))},
                outputs=Recommender.signatures[_DEFAULT].outputs,
            )
        }

        def serve(
            self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]
        ) -> Mapping[str, tf.Tensor]:
            wide = {name: tf.cast(value, tf.int64) for name, value in inputs.items()}
            return super().serve(network, signature, wide)

        def golden_examples(self) -> Mapping[str, GoldenExamples]:
            inputs = super().golden_examples()[_DEFAULT].inputs
            return {
                _DEFAULT: GoldenExamples(
                    inputs={name: value.astype("int32") for name, value in inputs.items()}
                )
            }

    return _replacing(bases, "recommender", Narrow())


@planted("text_classifier", "live-signatures")
def output_renamed_that_is_live(bases: Bases) -> Specimen:
    """Clients of the live version read an output that is gone."""
    good = bases.export("text_classifier")
    live = copy_of(good, bases.new_folder("live"))

    def rename(meta_graph: Any) -> None:
        outputs = meta_graph.signature_def[_DEFAULT].outputs
        outputs["label"].CopyFrom(outputs.pop("topic"))

    edit_graph(Path(live.uri), rename)
    signature = good.signatures[_DEFAULT]
    outputs = {"label" if name == "topic" else name: spec for name, spec in signature.outputs.items()}
    described = replace(sealed(live), signatures={_DEFAULT: replace(signature, outputs=outputs)})
    return Specimen(exported=good, definition=load_definition("text_classifier"), live=described)


def _replacing(bases: Bases, model: str, definition: Any) -> Specimen:
    exported = export_definition(definition, bases.checkpoint(model), bases.new_folder("defect"))
    return Specimen(exported=exported, definition=definition, live=bases.export(model))


DEFECTS = tuple(value for value in vars().copy().values() if isinstance(value, Defect))
