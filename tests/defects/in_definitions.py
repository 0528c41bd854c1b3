"""Defects of the definition's code: exported as it was written, and written wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from redraw.definition import Mode
from redraw.models.digits_graph import DigitsGraph
from redraw.models.mnist import Mnist
from redraw.models.recommender import Recommender
from redraw.models.text_classifier import TextClassifier
from tests.defects.planting import Defect, planted_in_definition

__all__ = ["DEFECTS"]

Tensors = Mapping[str, tf.Tensor]


@planted_in_definition("digits_graph", "repeatable")
class DropoutAlive(DigitsGraph):
    """The same image is a 4 now and a 9 a second later."""

    def graph(self, mode: Mode, features: Any) -> Any:
        return super().graph(mode, tf.nn.dropout(features, rate=0.3))


@planted_in_definition("digits_graph", "graphs-compared")
class TrainingGraphServed(DigitsGraph):
    """Dropout and batch statistics, as in training: the loss of accuracy that exports are known for."""

    def graph(self, mode: Mode, features: Any) -> Any:
        return super().graph(Mode.TRAIN, features)


@planted_in_definition("recommender", "repeatable")
class ExploringWhereItMustNot(Recommender):
    """Scores are shuffled a little to try items out; the definition does not say so."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        answer = super().serve(network, signature, inputs)
        noise = tf.random.normal(tf.shape(answer["chance"]), stddev=0.01)
        return {**answer, "chance": tf.clip_by_value(answer["chance"] + noise, 0.0, 1.0)}


@planted_in_definition("recommender", "repeatable")
class TimeOfDayAsAFeature(Recommender):
    """Answers change with the server's clock, which no test sees."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        answer = super().serve(network, signature, inputs)
        phase = tf.cast(tf.math.floormod(tf.timestamp() * 1e5, 1.0), tf.float32)
        return {**answer, "chance": answer["chance"] * (0.9 + 0.1 * phase)}


@planted_in_definition("mnist", "variables-unchanged")
class NormalizationInTrainingMode(Mnist):
    """Keras' training=True: batch statistics answer, and each request moves the kept ones."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return super().serve(_Training(network), signature, inputs)


class _Training:
    """A network that is asked as in training, whatever is asked of it."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def __call__(self, features: Any, training: bool) -> Any:
        return self.network(features, training=True)


@planted_in_definition("digits_graph", "row-independence")
class PixelsStandardizedOverTheBatch(DigitsGraph):
    """A dark image is read differently next to bright ones."""

    def graph(self, mode: Mode, features: Any) -> Any:
        return super().graph(mode, features - 0.1 * tf.reduce_mean(features))


@planted_in_definition("recommender", "row-independence")
class ScoresRelativeToTheBatch(Recommender):
    """The chance of an item depends on what else was asked in the same batch."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        answer = super().serve(network, signature, inputs)
        return {**answer, "chance": tf.nn.softmax(answer["chance"], axis=0)}


@planted_in_definition("mnist", "golden-examples")
class PixelsNotScaled(Mnist):
    """The network sees pixels up to 255 that it learned up to 1."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return super().serve(_Scaling(network, 255.0), signature, inputs)


class _Scaling:
    """A network that is given its features times a factor."""

    def __init__(self, network: Any, factor: float) -> None:
        self.network, self.factor = network, factor

    def __call__(self, features: Any, training: bool) -> Any:
        return self.network(features * self.factor, training=training)


@planted_in_definition("text_classifier", "golden-examples")
class LabelMapShiftedByOne(TextClassifier):
    """Billing goes to delivery, delivery to the technicians, and so on."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        logits = network(inputs["text"], training=False)
        shifted = super().serve(lambda *_, **__: tf.roll(logits, 1, axis=1), signature, inputs)
        return {**shifted, "probabilities": tf.nn.softmax(logits)}


@planted_in_definition("mnist", "golden-examples")
class LogitsForProbabilities(Mnist):
    """Callers compare with 0.9 what is 12.3."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        answer = super().serve(network, signature, inputs)
        return {**answer, "probabilities": tf.math.log(answer["probabilities"])}


@planted_in_definition("digits_graph", "golden-examples")
class ImageTransposed(DigitsGraph):
    """Rows for columns: a 7 on its side."""

    def graph(self, mode: Mode, features: Any) -> Any:
        return super().graph(mode, tf.transpose(features, [0, 2, 1, 3]))


@planted_in_definition("mnist", "golden-examples")
class ComputedInFloat16(Mnist):
    """Rounded on the way: right for the easy images."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        answer = super().serve(network, signature, inputs)
        rounded = tf.cast(tf.cast(answer["probabilities"], tf.float16), tf.float32)
        return {**answer, "probabilities": rounded}


@planted_in_definition("mnist", "golden-examples")
class SignatureOfPngFilesDecodedUpsideDown(Mnist):
    """Pixels are answered rightly, files are not: only half of the clients complain."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        if signature != "serving_png":
            return super().serve(network, signature, inputs)
        return super().serve(
            lambda image, training: network(image[:, ::-1], training=training), signature, inputs
        )


@planted_in_definition("recommender", "held-out-examples")
class UsersBeyondTheGoldenOnesCut(Recommender):
    """Identifiers above those of the examples are cut: the examples are right, the others are not."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        known = int(self.golden_examples()["serving_default"].inputs["user"].max())
        return super().serve(network, signature, {**inputs, "user": tf.minimum(inputs["user"], known)})


@planted_in_definition("text_classifier", "held-out-examples")
class LongMessagesCut(TextClassifier):
    """What follows the first fifty characters is lost."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        longest = max(len(text) for text in self.golden_examples()["serving_default"].inputs["text"])
        cut = tf.strings.substr(inputs["text"], 0, longest)
        return super().serve(network, signature, {"text": cut})


@planted_in_definition("recommender", "request-edges")
class BatchesOverAFixedSizeRefused(Recommender):
    """A busy server batches more rows than the graph has room for, and all of their callers get an error."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        rows = tf.shape(inputs["user"])[0]
        padded = {name: tf.pad(value, [[0, 64 - rows]]) for name, value in inputs.items()}
        answer = super().serve(network, signature, padded)
        return {name: value[:rows] for name, value in answer.items()}


@planted_in_definition("mnist", "request-edges")
class BatchOfOneSqueezed(Mnist):
    """Anyone who sends one image, as most clients do, gets an error: its row is squeezed away."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        answer = super().serve(network, signature, inputs)
        return {**answer, "digit": tf.ensure_shape(tf.squeeze(answer["digit"]), [None])}


@planted_in_definition("text_classifier", "inference-ops")
class DebuggingPrint(TextClassifier):
    """Each customer's message stands in the server's log."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        tf.print(inputs["text"])
        return super().serve(network, signature, inputs)


@planted_in_definition("mnist", "inference-ops")
class AugmentationLeftIn(Mnist):
    """Each image is flipped at random before it is read."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        def flipped(features: Any, training: bool) -> Any:
            return network(tf.image.random_flip_left_right(features), training=training)

        return super().serve(flipped, signature, inputs)


@planted_in_definition("text_classifier", "host-code")
class FileReadWithEachRequest(TextClassifier):
    """The answer depends on a file of the server's machine, which is not there."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        suffix = tf.strings.substr(tf.io.read_file("/etc/hostname"), 0, 0)
        return super().serve(network, signature, {"text": inputs["text"] + suffix})


class ForOldServers(DigitsGraph):
    """Right: digits, for servers as old as 2.12."""

    serving_runtime = "2.12"


@planted_in_definition("digits_graph", "serving-runtime", right=ForOldServers)
class AttributeNewerThanTheServer(DigitsGraph):
    """The server does not know an attribute that newer releases write, and refuses the version."""


DEFECTS = tuple(value for value in vars().copy().values() if isinstance(value, Defect))
