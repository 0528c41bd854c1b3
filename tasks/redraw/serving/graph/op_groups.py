"""Which operations have no place where requests are answered, by their types, and why.

The name of a node says nothing: it is whatever its maker chose. What is not listed here and
keeps a state by its own definition (`is_stateful`) is suspect as well, unless answering needs it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class OpGroup:
    """Operations of one kind.

    Attributes:
        name: The kind.
        reason: What such an operation does to a request, as the end of a sentence.
        pattern: Finds their types.
    """

    name: str
    reason: str
    pattern: re.Pattern[str]

    @classmethod
    def plain(cls, name: str, reason: str) -> OpGroup:
        """A group that is no list of types."""
        return cls(name, reason, re.compile(""))


def _group(name: str, reason: str, *patterns: str) -> OpGroup:
    return OpGroup(name, reason, re.compile("|".join(patterns)))


# The first that matches says it: a RandomShuffleQueue is a queue, a RandomDataset an iterator.
_GROUPS = (
    _group("queue", "takes its input from a queue", "Queue", "^Barrier", "^(Map|OrderedMap)?(Stage|Unstage)",
           "^(Ordered)?Map(Clear|IncompleteSize|Peek|Size)$", "^Stage(Clear|Peek|Size)$", "^RecordInput$"),
    _group("iterator", "takes its input from an input pipeline", "Dataset", "Iterator", "MemoryCache"),
    _group("summary", "writes a summary", "Summar(y|ies)", "^DumpTensor$", "^Debug"),
    _group("save", "saves or restores a checkpoint", "^Save", "^Restore", "^MergeV2Checkpoints$",
           "^DistributedSave$", "^LoadAndRemapMatrix$"),
    _group("print", "prints", "^Print(V2)?$"),
    _group("optimizer", "applies an optimizer's update", "^(Resource)?(Sparse)?Apply[A-Z]", "Accumulator",
           "^XlaSparseCore", "TPUEmbedding.*(Parameters|Gradients)"),
    _group("random", "draws at random", "Random(?!Get)", "Multinomial", "TruncatedNormal", "CandidateSampler",
           "^NonDeterministicInts$", "^Rng", "RngBitGenerator", "SampleDistortedBoundingBox",
           "^Stateful(Uniform|StandardNormal)", "^StatelessShuffle$", "^Skipgram$", "^NegTrain$",
           "SeedGenerator"),
    _group("gradient", "computes a gradient", "(?<!Stop)(?<!Prevent)Grad(?!ientArgs)", "BackpropFilter"),
    _group("update", "changes a variable or a table by being asked", "^Assign(?!VariableXla)",
           r"^Resource(StridedSlice|Scatter)", r"^Scatter(?!Nd$|NdNonAliasing)", "CountUpTo$",
           r"^LookupTable(Insert|Import|Remove)", r"^InitializeTable", "^DestroyResourceOp$"),
)  # fmt: skip

# What Python or the machine would have to give, which no server grants to a model.
_HOST = (
    _group("Python", "calls Python, which no server has", "PyFunc"),
    _group("file", "reads or writes files", "^ReadFile$", "^WriteFile$", "^MatchingFiles$", "Reader(V2)?$",
           "^InitializeTableFromTextFile", "^ImmutableConst$", "^LoadAndRemapMatrix$",
           "^FileSystemSetConfiguration$", "^(TFRecord|TextLine|FixedLengthRecord|LMDB|CSV|Sql).*Dataset",
           "DatasetToTFRecord", "^(Load|Save|Snapshot|MatchingFiles)Dataset", "^CreateSummary",
           "^GenerateVocabRemapping$", "^DumpTensor$", "^CalibrationStatisticsSaver$", "^Skipgram$"),
    _group("socket", "speaks to other processes", "^Rpc", "^_?(Host)?(Send|Recv)$", "^Collective", "^Nccl",
           "^RemoteCall$", "DataService", "^RegisterDataset", "^Copy(Host)?$",
           "^Debug(Identity|NumericSummary|NanCount)"),
    _group("machine", "ends the process, or needs code or hardware that is not TensorFlow's own", "^Abort$",
           "^XlaCustomCall", "^TfLiteSubgraphExecute$", "^MlirPassthroughOp$", "T[Pp][Uu]", "^DTensor",
           "(In|Out)feed"),
)  # fmt: skip

# Stateful by definition, and yet what answering is made of: variables and tables that are
# read, calls, assertions, and what lives for one request.
_ANSWERING = frozenset({
    "VarHandleOp", "_VarHandlesOp", "VariableV2", "Variable", "ReadVariableOp", "_ReadVariablesOp",
    "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp", "DisableCopyOnRead",
    "GuaranteeConst", "HashTable", "HashTableV2", "AnonymousHashTable", "MutableHashTable",
    "MutableHashTableV2", "MutableHashTableOfTensors", "MutableHashTableOfTensorsV2",
    "MutableDenseHashTable", "MutableDenseHashTableV2", "LookupTableFindV2", "LookupTableSizeV2",
    "LookupTableExportV2", "StatefulPartitionedCall", "If", "While", "Case", "XlaLaunch", "XlaCallModule",
    "XlaIf", "XlaWhile", "Assert", "CheckNumerics", "CheckNumericsV2", "Empty", "DeepCopy", "DeviceIndex",
    "CudnnRNN", "CudnnRNNV2", "CudnnRNNV3", "StatelessRandomGetAlg", "_Arg", "_Retval",
    "AddManySparseToTensorsMap", "AddSparseToTensorsMap", "TakeManySparseFromTensorsMap",
})  # fmt: skip
_ANSWERING_KINDS = re.compile("^TensorArray(?!Grad)|^BoostedTrees(EnsembleResourceHandleOp|Predict)$")
_STATE = _group("state", "keeps a state from request to request", "")


def find_group(op: str, *, stateful: bool) -> OpGroup | None:
    """Say why a type of operation has no place below a signature.

    Args:
        op: The type.
        stateful: Whether it is stateful by its definition.

    Returns:
        Its group; None for one that may be there.
    """
    if op in _ANSWERING or _ANSWERING_KINDS.search(op):
        return None
    found = next((group for group in _GROUPS if group.pattern.search(op)), None)
    return found or (_STATE if stateful else None)


def runs_on_host(op: str) -> OpGroup | None:
    """Say what a type of operation would need of the server's machine; None for nothing."""
    return next((group for group in _HOST if group.pattern.search(op)), None)


def is_update(op: str) -> bool:
    """Whether a type of operation changes a variable or a table."""
    return any(group.name == "update" and group.pattern.search(op) for group in _GROUPS)
