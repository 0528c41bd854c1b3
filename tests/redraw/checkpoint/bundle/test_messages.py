from __future__ import annotations

from typing import Any

import pytest

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.messages import (
    BundleEntryProto,
    SavedModel,
    TrackableObjectGraph,
    parse_message,
)


def test_parse_message_of_tensorflow_in_one_process_keeps_every_field(tf: Any) -> None:
    from tensorflow.core.framework import tensor_slice_pb2
    from tensorflow.core.protobuf import tensor_bundle_pb2

    theirs = tensor_bundle_pb2.BundleEntryProto(dtype=1, shard_id=2, offset=3, size=4, crc32c=0xFEDCBA98)
    theirs.shape.dim.add(size=5)
    extent = tensor_slice_pb2.TensorSliceProto.Extent(start=0, length=0)
    theirs.slices.add().extent.extend([extent, tensor_slice_pb2.TensorSliceProto.Extent()])
    stored = theirs.SerializeToString(deterministic=True)
    ours = parse_message(BundleEntryProto, stored)
    assert (ours.dtype, ours.shard_id, ours.offset, ours.size, ours.crc32c) == (1, 2, 3, 4, 0xFEDCBA98)
    assert [dim.size for dim in ours.shape.dim] == [5]
    assert [part.HasField("length") for part in ours.slices[0].extent] == [True, False]
    assert ours.SerializeToString(deterministic=True) == stored


def test_parse_message_with_fields_unknown_here_keeps_them(tf: Any) -> None:
    from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.nodes.add().registered_saver.name = "saver"
    stored = graph.SerializeToString()
    assert parse_message(TrackableObjectGraph, stored).SerializeToString() == stored
    saved = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    saved.meta_graphs.add().collection_def["trainable"].node_list.value.append("x")
    stored = saved.SerializeToString()
    assert parse_message(SavedModel, stored).SerializeToString() == stored


def test_parse_bytes_that_are_no_message_says_which_one() -> None:
    with pytest.raises(MalformedError, match="expected a BundleEntryProto protocol buffer, got 3 bytes"):
        parse_message(BundleEntryProto, b"\xff\xff\xff")
