"""Protocol buffer messages of checkpoint files, SavedModels and model servers, without TensorFlow.

The classes are made at run time in a descriptor pool of their own: TensorFlow, when it
is imported by the same process, registers messages of the same names in the default
pool, and the two would clash. Only the fields that Redraw reads or writes are declared;
all others are kept as unknown fields.

Source:
    https://github.com/tensorflow/tensorflow/tree/v2.21.0/tensorflow/core/protobuf
    (tensor_bundle.proto, trackable_object_graph.proto, saved_model.proto,
    meta_graph.proto), tensorflow/python/training (checkpoint_state.proto),
    tensorflow/core/util (event.proto, saved_tensor_slice.proto) and tensorflow/core/framework
    (tensor_shape.proto, tensor_slice.proto, versions.proto, graph.proto, function.proto, node_def.proto);
    https://github.com/tensorflow/serving/tree/2.19.1/tensorflow_serving/apis
    (prediction_log.proto, predict.proto, model.proto, get_model_status.proto, and util/status.proto).
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from redraw.checkpoint.bundle.encoding import MalformedError

# The .proto files' declarations, but with every name in one package and not nested, maps
# as repeated entries and enums as int32, which is how both are
# encoded. A `string` that may hold any bytes is declared as bytes, and so is a request's tensor.
_DECLARATIONS = """
BundleHeaderProto
    int32 num_shards = 1
    int32 endianness = 2
    VersionDef version = 3
VersionDef
    int32 producer = 1
    int32 min_consumer = 2
BundleEntryProto
    int32 dtype = 1
    TensorShapeProto shape = 2
    int32 shard_id = 3
    int64 offset = 4
    int64 size = 5
    fixed32 crc32c = 6
    repeated TensorSliceProto slices = 7
TensorShapeProto
    repeated Dim dim = 2
    bool unknown_rank = 3
Dim
    int64 size = 1
TensorSliceProto
    repeated Extent extent = 1
Extent
    int64 start = 1
    int64 length = 2
TrackableObjectGraph
    repeated TrackableObject nodes = 1
TrackableObject
    repeated ObjectReference children = 1
    repeated SerializedTensor attributes = 2
    repeated SlotVariableReference slot_variables = 3
ObjectReference
    int32 node_id = 1
    bytes local_name = 2
SerializedTensor
    bytes name = 1
    bytes full_name = 2
    bytes checkpoint_key = 3
SlotVariableReference
    int32 original_variable_node_id = 1
    bytes slot_name = 2
    int32 slot_variable_node_id = 3
CheckpointState
    bytes model_checkpoint_path = 1
    repeated bytes all_model_checkpoint_paths = 2
    repeated double all_model_checkpoint_timestamps = 3
Event
    double wall_time = 1
    int64 step = 2
    SessionLog session_log = 7
SessionLog
    int32 status = 1
SavedTensorSlices
    SavedTensorSliceMeta meta = 1
SavedTensorSliceMeta
    repeated SavedSliceMeta tensor = 1
SavedSliceMeta
    bytes name = 1
    TensorShapeProto shape = 2
    int32 type = 3
    repeated TensorSliceProto slice = 4
SavedModel
    int64 saved_model_schema_version = 1
    repeated MetaGraphDef meta_graphs = 2
MetaGraphDef
    MetaInfoDef meta_info_def = 1
    GraphDef graph_def = 2
    repeated SignatureDefEntry signature_def = 5
MetaInfoDef
    repeated bytes tags = 4
SignatureDefEntry
    bytes key = 1
    SignatureDef value = 2
SignatureDef
    repeated TensorInfoEntry inputs = 1
    repeated TensorInfoEntry outputs = 2
    bytes method_name = 3
TensorInfoEntry
    bytes key = 1
    TensorInfo value = 2
TensorInfo
    bytes name = 1
    int32 dtype = 2
    TensorShapeProto tensor_shape = 3
    CooSparse coo_sparse = 4
    CompositeTensor composite_tensor = 5
CooSparse
    bytes values_tensor_name = 1
CompositeTensor
    repeated TensorInfo components = 2
GraphDef
    repeated NodeDef node = 1
    FunctionDefLibrary library = 2
FunctionDefLibrary
    repeated FunctionDef function = 1
FunctionDef
    repeated NodeDef node_def = 3
NodeDef
    bytes name = 1
    bytes op = 2
SavedMetadata
    repeated SavedObject nodes = 1
SavedObject
    int32 node_id = 2
    bytes metadata = 5
PredictionLog
    PredictLog predict_log = 6
PredictLog
    PredictRequest request = 1
    PredictResponse response = 2
PredictResponse
    repeated InputEntry outputs = 1
    ModelSpec model_spec = 2
PredictRequest
    ModelSpec model_spec = 1
    repeated InputEntry inputs = 2
ModelSpec
    bytes name = 1
    Int64Value version = 2
    bytes signature_name = 3
Int64Value
    int64 value = 1
TensorProto
    int32 dtype = 1
    TensorShapeProto tensor_shape = 2
    bytes tensor_content = 4
    repeated bytes string_val = 8
GetModelStatusRequest
    ModelSpec model_spec = 1
GetModelStatusResponse
    repeated ModelVersionStatus model_version_status = 1
ModelVersionStatus
    int64 version = 1
    int32 state = 2
    StatusProto status = 3
StatusProto
    int32 error_code = 1
    bytes error_message = 2
InputEntry
    bytes key = 1
    bytes value = 2
"""

_PACKAGE = "redraw"
_FIELD = re.compile(r" +(?P<repeated>repeated )?(?P<type>\w+) (?P<name>\w+) = (?P<number>\d+)")
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "fixed32": _Field.TYPE_FIXED32,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
}


def _declare(declarations: str) -> descriptor_pb2.FileDescriptorProto:
    # proto2: every field knows whether it was set, which a slice's extent relies on.
    file = descriptor_pb2.FileDescriptorProto(
        name="redraw/checkpoint.proto", package=_PACKAGE, syntax="proto2"
    )
    for line in declarations.strip().splitlines():
        match = _FIELD.fullmatch(line)
        if match is None:
            message = file.message_type.add(name=line)
            continue
        label = _Field.LABEL_REPEATED if match["repeated"] else _Field.LABEL_OPTIONAL
        field = message.field.add(name=match["name"], number=int(match["number"]), label=label)
        if match["type"] in _SCALARS:
            field.type = _SCALARS[match["type"]]
        else:
            field.type = _Field.TYPE_MESSAGE
            field.type_name = f".{_PACKAGE}.{match['type']}"
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_declare(_DECLARATIONS))


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


BundleHeaderProto = _message("BundleHeaderProto")
BundleEntryProto = _message("BundleEntryProto")
TensorProto = _message("TensorProto")
TensorShapeProto = _message("TensorShapeProto")
TensorSliceProto = _message("TensorSliceProto")
TrackableObjectGraph = _message("TrackableObjectGraph")
CheckpointState = _message("CheckpointState")
Event = _message("Event")
GetModelStatusRequest = _message("GetModelStatusRequest")
GetModelStatusResponse = _message("GetModelStatusResponse")
PredictRequest = _message("PredictRequest")
PredictResponse = _message("PredictResponse")
PredictionLog = _message("PredictionLog")
SavedMetadata = _message("SavedMetadata")
SavedModel = _message("SavedModel")
SavedTensorSlices = _message("SavedTensorSlices")


def parse_message(message_class: Any, data: bytes) -> Any:
    """Parse a message of one of this module's classes.

    Args:
        message_class: The class.
        data: Its serialized form.

    Raises:
        MalformedError: The bytes are not such a message.
    """
    try:
        return message_class.FromString(data)
    except DecodeError as err:
        name = message_class.DESCRIPTOR.name
        raise MalformedError(f"a {name} protocol buffer", f"{len(data)} bytes that cannot be parsed") from err
