"""Group the types of operations that a server should not run, and give the reasons.

Only the type of an operation counts: its maker chooses its name. A type that is not listed here and is
stateful by its definition (`is_stateful`) is suspect as well, unless answering needs it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class OpGroup:
    """Operations of one kind.

    Attributes:
        name: The name of the group.
        reason: What such an operation does, as the end of a sentence.
        pattern: Matches the types of the group.
    """

    name: str
    reason: str
    pattern: re.Pattern[str]

    @classmethod
    def plain(cls, name: str, reason: str) -> OpGroup:
        """A group for a single operation, without a pattern."""
        return cls(name, reason, re.compile(""))


def _group(name: str, reason: str, pattern: str) -> OpGroup:
    return OpGroup(name, reason, re.compile(pattern))


# The first match counts: a RandomShuffleQueue is a queue, a RandomDataset an iterator.
_GROUPS = (
    _group(
        "queue",
        "reads a queue",
        "Queue|^Barrier|^(Map|OrderedMap)?(Stage|Unstage)|"
        "^(Ordered)?Map(Clear|IncompleteSize|Peek|Size)$|^Stage(Clear|Peek|Size)$|^RecordInput$",
    ),
    _group(
        "iterator",
        "reads an input pipeline",
        "Dataset|Iterator|MemoryCache",
    ),
    _group(
        "summary",
        "writes a summary",
        "Summar(y|ies)|^DumpTensor$|^Debug",
    ),
    _group(
        "save",
        "saves or restores a checkpoint",
        "^Save|^Restore|^MergeV2Checkpoints$|^DistributedSave$|^LoadAndRemapMatrix$",
    ),
    _group(
        "print",
        "prints",
        "^Print(V2)?$",
    ),
    _group(
        "optimizer",
        "applies an optimizer's update",
        "^(Resource)?(Sparse)?Apply[A-Z]|Accumulator|^XlaSparseCore|TPUEmbedding.*(Parameters|Gradients)",
    ),
    _group(
        "random",
        "draws random numbers",
        "Random(?!Get)|Multinomial|TruncatedNormal|CandidateSampler|^NonDeterministicInts$|^Rng|"
        "RngBitGenerator|SampleDistortedBoundingBox|^Stateful(Uniform|StandardNormal)|"
        "^StatelessShuffle$|^Skipgram$|^NegTrain$|SeedGenerator",
    ),
    _group(
        "gradient",
        "computes a gradient",
        "(?<!Stop)(?<!Prevent)Grad(?!ientArgs)|BackpropFilter",
    ),
    _group(
        "update",
        "changes a variable or a table with each request",
        "^Assign(?!VariableXla)|^Resource(StridedSlice|Scatter)|^Scatter(?!Nd$|NdNonAliasing)|"
        "CountUpTo$|^LookupTable(Insert|Import|Remove)|^InitializeTable|^DestroyResourceOp$",
    ),
)

# Operations that need Python or resources of the machine, which a server does not give to a model.
_HOST = (
    _group(
        "Python",
        "calls Python code, which no server can run",
        "PyFunc",
    ),
    _group(
        "file",
        "reads or writes files",
        "^ReadFile$|^WriteFile$|^MatchingFiles$|Reader(V2)?$|^InitializeTableFromTextFile|"
        "^ImmutableConst$|^LoadAndRemapMatrix$|^FileSystemSetConfiguration$|"
        "^(TFRecord|TextLine|FixedLengthRecord|LMDB|CSV|Sql).*Dataset|DatasetToTFRecord|"
        "^(Load|Save|Snapshot|MatchingFiles)Dataset|^CreateSummary|^GenerateVocabRemapping$|"
        "^DumpTensor$|^CalibrationStatisticsSaver$|^Skipgram$",
    ),
    _group(
        "socket",
        "communicates with other processes",
        "^Rpc|^_?(Host)?(Send|Recv)$|^Collective|^Nccl|^RemoteCall$|DataService|^RegisterDataset|"
        "^Copy(Host)?$|^Debug(Identity|NumericSummary|NanCount)",
    ),
    _group(
        "machine",
        "ends the process, or needs code or hardware that TensorFlow does not include",
        "^Abort$|^XlaCustomCall|^TfLiteSubgraphExecute$|^MlirPassthroughOp$|T[Pp][Uu]|^DTensor|(In|Out)feed",
    ),
)

# Stateful by definition, and yet allowed: reads of variables and tables, calls, assertions, and state that
# lasts for one request.
_ANSWERING = frozenset(
    {
        "AddManySparseToTensorsMap",
        "AddSparseToTensorsMap",
        "AnonymousHashTable",
        "_Arg",
        "Assert",
        "Case",
        "CheckNumerics",
        "CheckNumericsV2",
        "CudnnRNN",
        "CudnnRNNV2",
        "CudnnRNNV3",
        "DeepCopy",
        "DeviceIndex",
        "DisableCopyOnRead",
        "Empty",
        "GuaranteeConst",
        "HashTable",
        "HashTableV2",
        "If",
        "LookupTableExportV2",
        "LookupTableFindV2",
        "LookupTableSizeV2",
        "MutableDenseHashTable",
        "MutableDenseHashTableV2",
        "MutableHashTable",
        "MutableHashTableOfTensors",
        "MutableHashTableOfTensorsV2",
        "MutableHashTableV2",
        "ReadVariableOp",
        "_ReadVariablesOp",
        "ResourceGather",
        "ResourceGatherNd",
        "_Retval",
        "StatefulPartitionedCall",
        "StatelessRandomGetAlg",
        "TakeManySparseFromTensorsMap",
        "VarHandleOp",
        "_VarHandlesOp",
        "Variable",
        "VariableShape",
        "VariableV2",
        "VarIsInitializedOp",
        "While",
        "XlaCallModule",
        "XlaIf",
        "XlaLaunch",
        "XlaWhile",
    }
)
_ANSWERING_KINDS = re.compile("^TensorArray(?!Grad)|^BoostedTrees(EnsembleResourceHandleOp|Predict)$")
_STATE = _group("state", "keeps state from request to request", "")


def find_group(op: str, *, stateful: bool) -> OpGroup | None:
    """Find why a signature should not run a type of operation.

    Args:
        op: The type.
        stateful: Whether it is stateful by its definition.

    Returns:
        Its group; None if a signature may run it.
    """
    if op in _ANSWERING or _ANSWERING_KINDS.search(op):
        return None
    match = next((group for group in _GROUPS if group.pattern.search(op)), None)
    return match or (_STATE if stateful else None)


def runs_on_host(op: str) -> OpGroup | None:
    """Find what a type of operation needs from the server's machine; None if it needs nothing."""
    return next((group for group in _HOST if group.pattern.search(op)), None)


def is_update(op: str) -> bool:
    """Whether a type of operation changes a variable or a table."""
    return any(group.name == "update" and group.pattern.search(op) for group in _GROUPS)
