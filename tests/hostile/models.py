"""SavedModels that do what no model may: each operation below a signature, in a function, or at the start."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import tensorflow as tf

__all__ = ["EFFECTS", "Place", "save_model"]

Place = Literal["signature", "function", "initialization", "library"]
Effect = Callable[[str], Any]

_raw = tf.raw_ops


def _text_table(path: str) -> Any:
    table = _raw.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    return _raw.InitializeTableFromTextFileV2(
        table_handle=table, filename=path, key_index=-2, value_index=-1, vocab_size=-1, delimiter="\t"
    )


def _debug(path: str) -> Any:
    return _raw.DebugIdentity(input=[1.0], debug_urls=[f"file://{path}"], gated_grpc=False)


def _proto(path: str) -> Any:
    return _raw.DecodeProtoV2(
        bytes=[b""], message_type="a.B", field_names=[], output_types=[], descriptor_source=path
    ).sizes


def _sampler(path: str) -> Any:
    return _raw.FixedUnigramCandidateSampler(
        true_classes=[[1]], num_true=1, num_sampled=1, unique=False, range_max=2, vocab_file=path
    ).sampled_candidates


def _remapping(path: str) -> Any:
    return _raw.GenerateVocabRemapping(
        new_vocab_file=path, old_vocab_file=path, new_vocab_offset=0, num_new_vocab=1
    ).remapping


# What they name is the operation that has to be named; the argument is a path.
EFFECTS: dict[str, Effect] = {
    "ReadFile": lambda path: _raw.ReadFile(filename=path),
    "WriteFile": lambda path: _raw.WriteFile(filename=path, contents="x"),
    "MatchingFiles": lambda path: _raw.MatchingFiles(pattern=f"{path}*"),
    "PrintV2": lambda path: _raw.PrintV2(input="x", output_stream=f"file://{path}"),
    "SaveV2": lambda path: _raw.SaveV2(prefix=path, tensor_names=["x"], shape_and_slices=[""], tensors=[1.0]),
    "MergeV2Checkpoints": lambda path: _raw.MergeV2Checkpoints(
        checkpoint_prefixes=[path], destination_prefix=path
    ),
    "RestoreV2": lambda path: _raw.RestoreV2(
        prefix=path, tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
    "InitializeTableFromTextFileV2": _text_table,
    "WholeFileReaderV2": lambda path: _raw.WholeFileReaderV2(),
    "TextLineDataset": lambda path: _raw.TextLineDataset(
        filenames=[path], compression_type="", buffer_size=0
    ),
    "DebugIdentity": _debug,
    "DecodeProtoV2": _proto,
    "FixedUnigramCandidateSampler": _sampler,
    "GenerateVocabRemapping": _remapping,
    "ImmutableConst": lambda path: _raw.ImmutableConst(
        dtype=tf.uint8, shape=[1], memory_region_name=f"file://{path}"
    ),
    "CreateSummaryFileWriter": lambda path: _raw.CreateSummaryFileWriter(
        writer=_raw.SummaryWriter(), logdir=path, max_queue=1, flush_millis=1, filename_suffix=""
    ),
    "PyFunc": lambda path: _raw.PyFunc(input=[path], token="t", Tout=[tf.string])[0],  # noqa: S106
    "EagerPyFunc": lambda path: _raw.EagerPyFunc(input=[path], token="t", Tout=[tf.string])[0],  # noqa: S106
    "CollectiveGather": lambda path: _raw.CollectiveGather(
        input=[1.0], group_size=1, group_key=1, instance_key=1, shape=[1]
    ),
    "Abort": lambda path: _raw.Abort(),
}


def save_model(folder: Path, effect: Callable[[], Any], place: Place, *, answer: bool = False) -> Path:
    """Save a model with the signature `serving_default`, from `x` to `y`, that has an effect somewhere.

    Args:
        folder: Must not exist.
        effect: Draws it.
        place: Where.
        answer: Whether `y` is what the effect gives, instead of `x`.
    """
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        given = v1.placeholder(tf.float32, [None], name="x")
        scale = v1.get_variable("scale", initializer=[2.0])
        drawn = tf.no_op()
        if place in ("function", "library"):
            function = tf.function(lambda: (effect(), tf.constant(1.0))[1]).get_concrete_function()
            function.add_to_graph()
            drawn = function() if place == "function" else drawn
        else:
            drawn = effect()
        needs = [] if place == "initialization" else [drawn]
        with tf.control_dependencies(needs):
            result = drawn if answer else given * scale
        output = tf.identity(result, name="y")
        session.run(scale.initializer)
        builder = v1.saved_model.Builder(os.fspath(folder))
        signature = v1.saved_model.build_signature_def(
            {"x": v1.saved_model.build_tensor_info(given)},
            {"y": v1.saved_model.build_tensor_info(output)},
            "tensorflow/serving/predict",
        )
        start = tf.group(drawn) if place == "initialization" else tf.no_op()
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=start
        )
        builder.save()
    shutil.rmtree(folder / "assets", ignore_errors=True)
    return folder
