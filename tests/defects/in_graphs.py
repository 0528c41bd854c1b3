"""Defects of the graph: what training, debugging or a careless tool left in it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tests.defects.grafts import graft, hang_on, rewire
from tests.defects.planting import Defect, planted_in_graph

__all__ = ["DEFECTS"]

_TOKEN = "token"  # noqa: S105 - the name by which an operation calls a function of Python
_ANSWER = ("serving_default_probabilities_answer",)


@planted_in_graph("mnist", "serve-tag")
def another_tag(meta_graph: Any) -> None:
    """The server finds no graph with the tag that it loads."""
    meta_graph.meta_info_def.tags[:] = ["train"]


@planted_in_graph("recommender", "serve-tag")
def one_tag_more(meta_graph: Any) -> None:
    """The server loads only the tag `serve`, and finds no such graph."""
    meta_graph.meta_info_def.tags[:] = ["serve", "gpu"]


@planted_in_graph("digits_graph", "inference-ops")
def random_op_under_a_harmless_name(meta_graph: Any) -> None:
    """Answers differ from request to request by a little, and nobody finds it by the names."""

    def draw(answer: tf.Tensor) -> tf.Tensor:
        noise = tf.random.uniform(tf.shape(answer), maxval=1e-9, name="calibration/scale")
        return tf.add(answer, noise, name="calibration/scaled")

    rewire(meta_graph, "Softmax", graft(meta_graph, "Softmax", draw), _ANSWER)


@planted_in_graph("digits_graph", "inference-ops")
def input_queue(meta_graph: Any) -> None:
    """Each request takes part in a queue that nobody fills."""

    def draw(answer: tf.Tensor) -> tf.Operation:
        queue = tf.raw_ops.FIFOQueueV2(component_types=[tf.float32], name="batching/queue")
        return tf.raw_ops.QueueSizeV2(handle=queue, name="batching/size").op

    hang_on(meta_graph, graft(meta_graph, "logits/add", draw))


@planted_in_graph("digits_graph", "inference-ops")
def input_pipeline(meta_graph: Any) -> None:
    """The iterator of the training data comes along, and its files do not."""

    def draw(answer: tf.Tensor) -> tf.Operation:
        iterator = tf.raw_ops.IteratorV2(
            shared_name="", container="", output_types=[tf.float32], output_shapes=[[]], name="input/iterator"
        )
        return tf.raw_ops.IteratorGetNext(
            iterator=iterator, output_types=[tf.float32], output_shapes=[[]], name="input/next"
        )[0].op

    hang_on(meta_graph, graft(meta_graph, "logits/add", draw))


@planted_in_graph("digits_graph", "inference-ops")
def summary(meta_graph: Any) -> None:
    """Each request computes a histogram that nobody reads."""

    def draw(logits: tf.Tensor) -> tf.Operation:
        return tf.raw_ops.HistogramSummary(tag="logits", values=logits, name="monitoring/logits").op

    hang_on(meta_graph, graft(meta_graph, "logits/add", draw))


@planted_in_graph("digits_graph", "inference-ops")
def optimizer_step(meta_graph: Any) -> None:
    """Each request trains the model a little, on whatever the caller sent."""

    def draw(logits: tf.Tensor) -> tf.Operation:
        bias = tf.raw_ops.VarHandleOp(
            dtype=tf.float32, shape=[10], shared_name="logits/bias", name="update/bias"
        )
        return tf.raw_ops.ResourceApplyGradientDescent(
            var=bias, alpha=1e-9, delta=tf.zeros([10], name="update/delta"), name="update/apply"
        )

    hang_on(meta_graph, graft(meta_graph, "logits/add", draw))


@planted_in_graph("digits_graph", "inference-ops")
def gradient(meta_graph: Any) -> None:
    """Each request pays for a backward pass."""

    def draw(hidden: tf.Tensor) -> tf.Operation:
        return tf.raw_ops.ReluGrad(gradients=hidden, features=hidden, name="backward/hidden").op

    hang_on(meta_graph, graft(meta_graph, "dense/Relu", draw))


@planted_in_graph("digits_graph", "inference-ops")
def checkpoint_saved_with_each_request(meta_graph: Any) -> None:
    """The server writes a checkpoint for each request, until its disk is full."""
    hang_on(meta_graph, "save/SaveV2")


@planted_in_graph("digits_graph", "host-code")
def python_function(meta_graph: Any) -> None:
    """No server has the Python process that it calls: each request fails."""

    def draw(answer: tf.Tensor) -> tf.Tensor:
        answered = tf.raw_ops.PyFunc(
            input=[answer], **{_TOKEN: "pyfunc_0"}, Tout=[tf.float32], name="scores/checked"
        )
        return answered[0]

    rewire(meta_graph, "Softmax", graft(meta_graph, "Softmax", draw), _ANSWER)


@planted_in_graph("digits_graph", "host-code")
def eager_python_function_inside_of_a_function(meta_graph: Any) -> None:
    """As with a Python function; inside of another function it is easily overlooked."""

    def draw(answer: tf.Tensor) -> tf.Tensor:
        @tf.function(input_signature=[tf.TensorSpec(None, tf.float32)])
        def checked(given: tf.Tensor) -> tf.Tensor:
            return tf.raw_ops.EagerPyFunc(input=[given], **{_TOKEN: "pyfunc_1"}, Tout=[tf.float32])[0]

        return tf.identity(checked(answer), name="scores/answer")

    rewire(meta_graph, "Softmax", graft(meta_graph, "Softmax", draw), _ANSWER)


@planted_in_graph("digits_graph", "host-code")
def file_written_with_each_request(meta_graph: Any) -> None:
    """The server writes what callers sent to its disk."""

    def draw(answer: tf.Tensor) -> tf.Operation:
        text = tf.strings.reduce_join(tf.strings.as_string(answer), name="log/text")
        return tf.raw_ops.WriteFile(filename="/tmp/answers.txt", contents=text, name="log/write")  # noqa: S108

    hang_on(meta_graph, graft(meta_graph, "logits/add", draw))


@planted_in_graph("digits_graph", "custom-ops")
def custom_op(meta_graph: Any) -> None:
    """The server was not built with the library that has it, and refuses the version."""
    (softmax,) = (node for node in meta_graph.graph_def.node if node.name == "Softmax")
    softmax.op = "AcmeFastSoftmax"


@planted_in_graph("mnist", "loads")
def function_that_is_not_there(meta_graph: Any) -> None:
    """The server refuses the version: a call leads nowhere."""
    (call,) = (node for node in meta_graph.graph_def.node if node.name == "StatefulPartitionedCall")
    call.attr["f"].func.name = "__inference_signature_wrapper_999"


@planted_in_graph("digits_graph", "loads")
def node_that_is_not_there(meta_graph: Any) -> None:
    """The server refuses the version: a node reads another that a tool has taken out."""
    rewire(meta_graph, "Softmax", "scores/pruned", _ANSWER)


@planted_in_graph("text_classifier", "loads")
def table_never_filled(meta_graph: Any) -> None:
    """The server loads it and answers each request with an error: its table is not initialized."""
    for name in [name for name in meta_graph.signature_def if name.startswith("__saved_model")]:
        del meta_graph.signature_def[name]
    for key in ("saved_model_main_op", "legacy_init_op"):
        meta_graph.collection_def.pop(key, None)


@planted_in_graph("mnist", "unreached-functions")
def training_function_left_in(meta_graph: Any) -> None:
    """The training step is published with the model, and makes it larger."""

    @tf.function(input_signature=[tf.TensorSpec([10], tf.float32), tf.TensorSpec([10], tf.float32)])
    def train_step(weight: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        return weight - 0.1 * gradient

    left = meta_graph.graph_def.library.function.add()
    left.CopyFrom(train_step.get_concrete_function().function_def)


@planted_in_graph("digits_graph", "serving-runtime")
def graph_of_a_newer_release(meta_graph: Any) -> None:
    """The server is older than the graph's producer says it must be."""
    meta_graph.graph_def.versions.min_consumer = 99_999


@planted_in_graph("digits_graph", "row-independence")
def batch_normalization_in_training_mode(meta_graph: Any) -> None:
    """The answer for a row depends on the rows that the server happens to batch it with."""

    def mean(image: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(image, [0, 1, 2], name="conv_1/moments/mean")

    def variance(image: tf.Tensor) -> tf.Tensor:
        return tf.math.reduce_variance(image, [0, 1, 2], name="conv_1/moments/variance")

    for read, reader, draw in (
        ("conv_1/batchnorm/ReadVariableOp_1", "conv_1/batchnorm/mul_2", mean),
        ("conv_1/batchnorm/ReadVariableOp", "conv_1/batchnorm/add", variance),
    ):
        rewire(meta_graph, read, graft(meta_graph, "conv_1/Conv2D", draw), (reader,))


@planted_in_graph("digits_graph", "variables-unchanged")
def statistics_updated_when_asked(meta_graph: Any) -> None:
    """The model drifts with its traffic: yesterday's answers cannot be had again."""

    def draw(image: tf.Tensor) -> tf.Operation:
        mean = tf.raw_ops.VarHandleOp(
            dtype=tf.float32, shape=[16], shared_name="conv_1/moving_mean", name="conv_1/statistics"
        )
        change = tf.reduce_mean(image, [0, 1, 2], name="conv_1/statistics/mean") * 1e-4
        return tf.raw_ops.AssignAddVariableOp(resource=mean, value=change, name="conv_1/statistics/update")

    hang_on(meta_graph, graft(meta_graph, "conv_1/Conv2D", draw))


@planted_in_graph("digits_graph", "request-edges")
def any_shape_taken(meta_graph: Any) -> None:
    """Images of another size are answered as if they were digits, or end the server in a later release."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    (demand,) = (node for node in nodes.values() if "serving_default_image" in node.input)
    assert demand.op == "EnsureShape"
    readers = tuple(name for name, node in nodes.items() if demand.name in node.input)
    rewire(meta_graph, demand.name, "serving_default_image", readers)


@planted_in_graph("mnist", "accelerator-ops")
def function_compiled_by_xla(meta_graph: Any) -> None:
    """A server that was built without XLA refuses each request."""
    meta_graph.graph_def.library.function[0].attr["_XlaMustCompile"].b = True


@planted_in_graph("mnist", "accelerator-ops")
def call_compiled_by_xla(meta_graph: Any) -> None:
    """A server that was built without XLA refuses each request, though no function says so."""
    call = next(node for node in meta_graph.graph_def.node if "PartitionedCall" in node.op)
    call.attr["_XlaMustCompile"].b = True


@planted_in_graph("mnist", "accelerator-ops")
def operation_of_xla(meta_graph: Any) -> None:
    """A compiler's own operation was saved, for which no processor has a kernel."""
    meta_graph.graph_def.node.add(name="cluster/output", op="XlaClusterOutput")


@planted_in_graph("mnist", "accelerator-ops")
def operation_for_a_gpu(meta_graph: Any) -> None:
    """A recurrent layer was drawn where a GPU is, and a server without one cannot run it."""
    meta_graph.graph_def.node.add(name="lstm/rnn", op="CudnnRNNV3")


DEFECTS = tuple(value for value in vars().copy().values() if isinstance(value, Defect))
