"""Kinds of operations, and TensorFlow's definitions of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tensorflow.core.framework import types_pb2

from redraw.compat.tensorflow import operation_definition
from redraw.errors import InvalidDefinition

FLOATS = (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_BFLOAT16, types_pb2.DT_HALF)
INTEGERS = (types_pb2.DT_INT32, types_pb2.DT_INT64)
VARIABLES = {"VarHandleOp", "VariableV2", "Variable"}
# Operations that read training data, which are not served.
SOURCES = {
    "Placeholder",
    "PlaceholderV2",
    "IteratorGetNext",
    "IteratorGetNextSync",
    "IteratorGetNextAsOptional",
    "QueueDequeue",
    "QueueDequeueV2",
    "QueueDequeueMany",
    "QueueDequeueManyV2",
    "QueueDequeueUpTo",
    "QueueDequeueUpToV2",
    "ReaderRead",
    "ReaderReadV2",
    "ReaderReadUpTo",
    "ReaderReadUpToV2",
    "Unstage",
    "RandomShuffleQueueV2",
    "FIFOQueueV2",
    "OneShotIterator",
    "IteratorV2",
    "TFRecordReaderV2",
}
# Operations that run outside of the graph, which a server does not do.
HOST = {"PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile", "MatchingFiles"}
CHANCE = {
    "RandomUniform": "uniform",
    "StatelessRandomUniform": "uniform",
    "StatelessRandomUniformV2": "uniform",
    "StatefulUniform": "uniform",
    "RandomStandardNormal": "normal",
    "TruncatedNormal": "normal",
    "StatelessRandomNormal": "normal",
    "StatelessRandomNormalV2": "normal",
    "StatelessTruncatedNormal": "normal",
    "StatelessTruncatedNormalV2": "normal",
    "StatefulStandardNormalV2": "normal",
    "Multinomial": "sample",
    "StatelessMultinomial": "sample",
    "RandomUniformInt": "sample",
    "StatelessRandomUniformInt": "sample",
    "RandomGamma": "sample",
    "RandomPoissonV2": "sample",
    "RandomShuffle": "sample",
    "ParameterizedTruncatedNormal": "sample",
    "StatefulRandomBinomial": "sample",
    "StatelessRandomBinomial": "sample",
    "StatelessRandomUniformIntV2": "sample",
}
BATCH_NORM = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
SWITCHES, MERGES = {"Switch", "RefSwitch"}, {"Merge", "RefMerge"}
LOOP_JOINTS = {"NextIteration", "RefNextIteration", "TensorArrayReadV3", "TensorArrayReadV2", "Exit"}
CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
ASSIGNMENTS = {
    "Assign": "set",
    "AssignVariableOp": "set",
    "AssignSub": "subtract",
    "AssignSubVariableOp": "subtract",
    "AssignAdd": "add",
    "AssignAddVariableOp": "add",
}
# Operations that return their first input unchanged.
COPIES = {"Identity", "StopGradient", "PreventGradient", "Print", "PlaceholderWithDefault", "CheckNumerics"}

# Beginnings of the names of operations that are not in TensorFlow (any more) to their libraries.
_ORIGINS = {
    "GatherTree": "tf.contrib.seq2seq, now TensorFlow Addons",
    "CTCExtDecoder": "tf.contrib",
    "SkipGramGenerateCandidates": "tf.contrib.text",
    "BipartiteMatch": "tf.contrib.image",
    "ImageProjectiveTransform": "tf.contrib.image",
    "SingleImageRandomDot": "tf.contrib.image",
    "Resampler": "tf.contrib.resampler",
    "NearestNeighbors": "tf.contrib.factorization",
    "KMC2Chain": "tf.contrib.factorization",
    "WALSCompute": "tf.contrib.factorization",
    "MaskedMatmul": "tf.contrib.factorization",
    "BigQuery": "tf.contrib.cloud",
    "FFmpeg": "tf.contrib.ffmpeg",
    "DecodeAudio": "tf.contrib.ffmpeg",
    "SparseFeatureCross": "tf.contrib.layers",
    "BytesInUse": "tf.contrib.memory_stats",
    "Periodic": "tf.contrib.periodic_resample",
    "TreeEnsemble": "tf.contrib.boosted_trees",
    "GradientTrees": "tf.contrib.boosted_trees",
    "GrowTree": "tf.contrib.tensor_forest",
    "TreePredictions": "tf.contrib.tensor_forest",
    "Kafka": "tf.contrib.kafka",
    "Nccl": "tf.contrib.nccl",
    "TRTEngine": "TensorFlow with TensorRT",
    "Addons>": "TensorFlow Addons",
    "IO>": "TensorFlow I/O",
    "Sentencepiece": "tf_sentencepiece",
    "Horovod": "Horovod",
}


def demand_known(nodes: Iterable[Any], functions: Mapping[str, Any], where: str) -> None:
    """Refuse operations that this TensorFlow does not have, all of them at once.

    Args:
        nodes: The nodes that would be served.
        functions: The recording's own functions, which are called as operations are.
        where: What holds them, for the message.

    Raises:
        InvalidDefinition: There are some.
    """
    unknown: dict[str, str] = {}
    for node in nodes:
        if node.op not in functions and operation_definition(node.op) is None:
            unknown.setdefault(node.op, node.name)
    if unknown:
        descriptions = ", ".join(
            f"{op} (operation {name!r}, {_origin(op)})" for op, name in sorted(unknown.items())
        )
        raise InvalidDefinition(
            f"{where}: expected operations that TensorFlow has, got {descriptions}. Choose inputs after"
            " these operations, or write the model as a definition."
        )


def _origin(op: str) -> str:
    library = next((home for start, home in _ORIGINS.items() if op.startswith(start)), None)
    return f"of {library}" if library else "of an unknown library"


def outputs_named(node: Any, definition: Any) -> Iterator[tuple[str, int]]:
    """Each output of a node by its name in the operation, with how many tensors it is."""
    for argument in definition.output_arg:
        if argument.number_attr:
            yield argument.name, int(node.attr[argument.number_attr].i)
        elif argument.type_list_attr:
            yield argument.name, len(node.attr[argument.type_list_attr].list.type)
        else:
            yield argument.name, 1


def output_types_of(node: Any) -> list[int]:
    """The dtype of each output tensor; none of an operation that TensorFlow does not have."""
    definition = operation_definition(node.op)
    return [] if definition is None else output_types(node, definition)


def output_types(node: Any, definition: Any) -> list[int]:
    """The dtype of each output tensor, as a `DataType`."""
    types: list[int] = []
    defaults = {attribute.name: attribute.default_value for attribute in definition.attr}
    for argument in definition.output_arg:
        if argument.type_list_attr:
            types += node.attr[argument.type_list_attr].list.type
            continue
        type_attr = argument.type_attr
        dtype = (
            (node.attr[type_attr].type if type_attr in node.attr else defaults[type_attr].type)
            if type_attr
            else argument.type
        )
        count = int(node.attr[argument.number_attr].i) if argument.number_attr else 1
        types += [dtype + 100 if argument.is_ref and dtype < 100 else dtype] * count
    return types
