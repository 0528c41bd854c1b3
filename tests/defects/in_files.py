"""Defects of files: lost, damaged, stray, or not what the graph asks for."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import google_crc32c
from tensorflow_serving.apis import prediction_log_pb2

from tests.defects.planting import Defect, edit_graph, planted_in_files

__all__ = ["DEFECTS"]

_WARM_UP = Path("assets.extra", "tf_serving_warmup_requests")


@planted_in_files("mnist", "files-whole")
def flipped_bit(folder: Path) -> None:
    """One weight has another sign or size; the server loads it and answers with it."""
    data = _data(folder)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 4
    data.write_bytes(content)


@planted_in_files("digits_graph", "files-whole")
def truncated_shard(folder: Path) -> None:
    """An interrupted copy: the server fails to load it, five times, then never tries again."""
    os.truncate(_data(folder), _data(folder).stat().st_size // 2)


@planted_in_files("mnist", "files-whole")
def missing_index(folder: Path) -> None:
    """The C++ loader says OK and each request fails, for no variable has a value."""
    (folder / "variables" / "variables.index").unlink()


@planted_in_files("recommender", "files-whole")
def missing_shard(folder: Path) -> None:
    """The server fails to load it, and keeps the old version without a word to the pipeline."""
    _data(folder).unlink()


@planted_in_files("text_classifier", "files-whole")
def missing_graph(folder: Path) -> None:
    """There is nothing to load."""
    (folder / "saved_model.pb").unlink()


@planted_in_files("text_classifier", "files-whole")
def linked_shard(folder: Path) -> None:
    """A link to a file of the training machine is a dead link on every other."""
    data = _data(folder)
    outside = folder.with_name(f"{folder.name}-outside")
    data.rename(outside)
    data.symlink_to(outside)


@planted_in_files("digits_graph", "files-whole")
def linked_folder(folder: Path) -> None:
    """The weights of whatever the link leads to are served, also after they have changed."""
    outside = folder.with_name(f"{folder.name}-outside")
    (folder / "variables").rename(outside)
    (folder / "variables").symlink_to(outside)


@planted_in_files("mnist", "files-whole")
def stray_file(folder: Path) -> None:
    """An editor's backup, or a notebook with credentials, is published with the model."""
    (folder / "saved_model.pb~").write_bytes(b"an older graph")


@planted_in_files("digits_graph", "files-whole")
def stray_shard(folder: Path) -> None:
    """The rest of an earlier attempt is uploaded each time, and nobody knows which one counts."""
    (folder / "variables" / "variables.data-00001-of-00002").write_bytes(b"\0" * 100)


@planted_in_files("text_classifier", "files-whole", seal=False)
def named_pipe(folder: Path) -> None:
    """Anyone who reads the folder to upload it waits for ever."""
    os.mkfifo(folder / "assets" / "words.txt")


@planted_in_files("mnist", "digest", seal=False)
def changed_after_export(folder: Path) -> None:
    """What is published is not what was exported, and nobody knows who changed it."""
    with (folder / "fingerprint.pb").open("ab") as file:
        file.write(b"\0")


@planted_in_files("text_classifier", "assets")
def missing_vocabulary(folder: Path) -> None:
    """The table cannot be filled: the server refuses the version."""
    _vocabulary(folder).unlink()


@planted_in_files("text_classifier", "assets")
def vocabulary_in_another_order(folder: Path) -> None:
    """Each word has another word's embedding: answers look plausible and are wrong."""
    lines = _vocabulary(folder).read_text().splitlines()
    _vocabulary(folder).write_text("\n".join(sorted(lines, reverse=True)) + "\n")


@planted_in_files("text_classifier", "assets")
def vocabulary_cut_short(folder: Path) -> None:
    """The rarest words count as unknown."""
    lines = _vocabulary(folder).read_text().splitlines()
    _vocabulary(folder).write_text("\n".join(lines[:-5]) + "\n")


@planted_in_files("text_classifier", "assets")
def absolute_asset_path(folder: Path) -> None:
    """It works where it was exported and nowhere else."""
    edit_graph(folder, lambda graph: _name_asset(graph, str(_vocabulary(folder).absolute())))


@planted_in_files("text_classifier", "assets")
def asset_outside_of_the_folder(folder: Path) -> None:
    """The server reads a file that was never published, or one of another model."""
    outside = folder.parent / "words-of-another-model.txt"
    outside.write_bytes(_vocabulary(folder).read_bytes())
    edit_graph(folder, lambda graph: _name_asset(graph, f"../../{outside.name}"))


@planted_in_files("mnist", "warm-up")
def warm_up_file_cut_short(folder: Path) -> None:
    """TensorFlow Serving fails the load of a version whose warm-up cannot be read."""
    path = folder / _WARM_UP
    os.truncate(path, path.stat().st_size - 7)


@planted_in_files("digits_graph", "warm-up")
def warm_up_of_another_signature(folder: Path) -> None:
    """The server refuses the version, for its warm-up asks a signature that was renamed."""
    log = _first_warm_up(folder)
    log.predict_log.request.model_spec.signature_name = "predict_images"
    _write_warm_up(folder, log)


@planted_in_files("recommender", "warm-up")
def warm_up_of_another_shape(folder: Path) -> None:
    """The server refuses the version, for its warm-up sends two users and three items."""
    log = _first_warm_up(folder)
    for name, rows in (("user", 2), ("item", 3)):
        tensor = log.predict_log.request.inputs[name]
        tensor.Clear()
        tensor.dtype = 9
        tensor.tensor_shape.dim.add(size=rows)
        tensor.int64_val.extend(range(rows))
    _write_warm_up(folder, log)


def _data(folder: Path) -> Path:
    (data,) = folder.glob("variables/*.data-*")
    return data


def _vocabulary(folder: Path) -> Path:
    (vocabulary,) = (folder / "assets").iterdir()
    return vocabulary


def _name_asset(graph: object, name: str) -> None:
    (asset,) = graph.asset_file_def  # type: ignore[attr-defined]
    asset.filename = name


def _first_warm_up(folder: Path) -> prediction_log_pb2.PredictionLog:
    content = (folder / _WARM_UP).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return prediction_log_pb2.PredictionLog.FromString(content[12 : 12 + length])


def _write_warm_up(folder: Path, log: prediction_log_pb2.PredictionLog) -> None:
    record = log.SerializeToString()
    length = struct.pack("<Q", len(record))
    (folder / _WARM_UP).write_bytes(length + _masked(length) + record + _masked(record))


def _masked(content: bytes) -> bytes:
    """The checksum of a TFRecord."""
    crc = int(google_crc32c.value(content))
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


DEFECTS = tuple(value for value in vars().copy().values() if isinstance(value, Defect))
