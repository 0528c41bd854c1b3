"""Damage what every parser reads, at random and the same way each time, in a process with limits.

A result is right, or one line of an expected error: nothing else, no more memory and no more time.
"""

from __future__ import annotations

import contextlib
import json
import random
import struct
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

from redraw.ask.examples import example_requests
from redraw.checkpoint.bundle.messages import (
    Event,
    GetModelStatusResponse,
    PredictionLog,
    PredictResponse,
    SavedMetadata,
    SavedModel,
    TrackableObjectGraph,
)
from redraw.checkpoint.bundle.table import read_table
from redraw.checkpoint.bundle.table_writer import encode_table
from redraw.checkpoint.catalogue.adopt import adopt_checkpoints
from redraw.checkpoint.formats.configuration import read_configuration
from redraw.checkpoint.formats.foreign import find_files, find_foreign
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.checkpoint.formats.tf_record import times_in_event_files
from redraw.definition import OutsideReference, Signature, TensorSpec
from redraw.errors import InvalidName, InvalidRecord, RedrawError
from redraw.heal.scan import scan_files
from redraw.inspect.answers.logged_requests import LoggedRequests
from redraw.inspect.answers.naming import Naming
from redraw.inspect.answers.record_parts import Problems
from redraw.inspect.answers.recorded_requests import merge_exchanges, read_exchanges
from redraw.inspect.inspect import inspect_uri
from redraw.names import ModelName, check_attachment_name, check_object_name
from redraw.records.codec import JsonMismatch
from redraw.records.json_text import parse_json
from redraw.records.times import parse_time
from redraw.requests import AdoptRequest, InspectRequest, ScanRequest
from redraw.rollout.client import BadAnswer, Question, judge_versions
from redraw.rollout.client import Target as ServerTarget
from redraw.rollout.grpc_client import decode_answer, decode_status
from redraw.rollout.http import Reply
from redraw.rollout.rest import decode_columns, decode_states
from redraw.storage.opening import open_storage
from redraw.uri import BucketUri, Uri
from tests.golden.records import RECORDS, RELEASE
from tests.hostile.archives import pack
from tests.hostile.bundles import write_good
from tests.hostile.hdf5_files import write_good as write_weights
from tests.hostile.notes import framed, warm_up_request
from tests.hostile.reading import read_checkpoint
from tests.hostile.records import leaves, replaced
from tests.hostile.saver_v1_files import declare
from tests.hostile.trial import limit_memory, limited_time

__all__ = ["TARGETS", "run_target"]

SECONDS = 20.0
_INTERESTING = (0, 1, 0x22, 0x7B, 0x7F, 0x80, 0xFF)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A parser, and a sound input of it.

    Attributes:
        sound: Makes the input.
        parse: Gives a damaged one to the parser, in a folder of its own.
        refuses: Whether damage is refused; otherwise it is passed over.
    """

    sound: Callable[[Path], bytes]
    parse: Callable[[Path, bytes], object]
    refuses: bool = True


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The same with bits flipped, bytes replaced, parts cut out, or parts repeated."""
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 5)):
        at, kind = rng.randrange(len(changed) or 1), rng.randrange(5)
        if kind == 0 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[at : at + 1] = bytes([rng.choice(_INTERESTING)])
        elif kind == 2:
            del changed[at : at + rng.randrange(1, 40)]
        elif kind == 3:
            changed[at:at] = changed[at : at + rng.randrange(1, 60)] * rng.randrange(1, 4)
        else:
            changed[at : at + 8] = struct.pack("<Q", rng.choice((0, 1 << 31, 1 << 40, (1 << 64) - 1)))
    return bytes(changed)


def run_target(name: str, cases: int, seed: int, root: str, results: str) -> int:
    """Parse that many damaged inputs; the one that is being parsed is in the file `input`."""
    folder, rng, target = Path(root), random.Random(f"{name} {seed}"), TARGETS[name]  # noqa: S311
    sound = target.sound(folder)
    limit_memory()
    refused = 0
    for number in range(cases):
        content = damaged(sound, rng)
        (folder / "input").write_bytes(content)
        place = folder / "case"
        place.mkdir(exist_ok=True)
        try:
            with limited_time(SECONDS):
                target.parse(place, content)
        except RedrawError:
            refused += 1
        except BaseException:
            Path(results).write_text(json.dumps({"case": number, "error": traceback.format_exc()}))
            return 1
    Path(results).write_text(json.dumps({"refused": refused}))
    return 0


def _file(name: str, read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    def parse(folder: Path, content: bytes) -> None:
        (folder / name).write_bytes(content)
        read(folder / name)

    return parse


def _weights(folder: Path) -> bytes:
    write_weights(folder / "sound.h5")
    return (folder / "sound.h5").read_bytes()


def _archive(folder: Path) -> bytes:
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {}}]}}
    metadata = json.dumps({"keras_version": "3.0.0"}).encode()
    members = {"metadata.json": metadata, "config.json": json.dumps(config).encode()}
    return pack(members | {"model.weights.h5": _weights(folder)})


def _read_archive(path: Path) -> None:
    read_checkpoint(path)
    read_configuration(open_checkpoint(path))


def _parse_shards(folder: Path, content: bytes) -> None:
    write_weights(folder / "model_00000.weights.h5")
    read_checkpoint(_written(folder / "model.weights.json", content))


def _index(folder: Path) -> bytes:
    write_good(folder)
    entries = read_table(folder / "ckpt-7.index")
    return b"".join(struct.pack("<HH", len(key), len(value)) + key + value for key, value in entries)


def _parse_index(folder: Path, content: bytes) -> None:
    """Entries that are damaged, in a table that is sound."""
    write_good(folder)
    entries, at = {}, 0
    while at + 4 <= len(content):
        key, value = struct.unpack_from("<HH", content, at)
        at += 4 + key + value
        entries[content[at - key - value : at - value]] = content[at - value : at]
    (folder / "ckpt-7.index").write_bytes(encode_table(sorted(entries.items())))
    try:
        read_checkpoint(folder / "ckpt-7")
    finally:
        for path in folder.iterdir():
            path.unlink()


def _graph(_: Path) -> bytes:
    graph = TrackableObjectGraph()
    for number in range(4):
        node = graph.nodes.add()
        node.children.add(node_id=(number + 1) % 4, local_name=b"layer_with_weights-0")
        node.attributes.add(name=b"VARIABLE_VALUE", full_name=b"dense/kernel", checkpoint_key=b"a/kernel")
    return bytes(graph.SerializeToString())


def _parse_graph(folder: Path, content: bytes) -> None:
    try:
        write_good(folder, content)
        read_checkpoint(folder / "ckpt-7")
    finally:
        for path in folder.iterdir():
            path.unlink()


def _meta_of_v1(folder: Path) -> bytes:
    # Which reads what passes: loaded before limits are set.
    import tensorflow  # noqa: F401

    return dict(read_table(_written(folder / "v1", declare(1, [2, 3]))))[b""]


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _state(_: Path) -> bytes:
    return (
        b'model_checkpoint_path: "ckpt-7"\nall_model_checkpoint_paths: "ckpt-7"\n'
        b"all_model_checkpoint_timestamps: 1700000000.5\nlast_preserved_timestamp: 1.0\n"
    )


def _adopt(folder: Path, content: bytes) -> None:
    """What a folder's notes say of the time of a checkpoint."""
    run, catalogue = folder / "run", folder / "catalogue"
    if not run.exists():
        run.mkdir()
        write_good(run)
    (run / "checkpoint").write_bytes(content)
    try:
        adopt_checkpoints(AdoptRequest(model="digits", source=Uri(run), catalogue=Uri(catalogue)))
    finally:
        for path in catalogue.rglob("*.json"):
            path.unlink()


def _parse_event(folder: Path, content: bytes) -> None:
    times_in_event_files([_written(folder / "events", framed(content)), _written(folder / "more", content)])


_CONFIGURATION = {
    "class_name": "Sequential",
    "config": {"layers": [{"class_name": "Dense", "config": {"activation": ["code", None, None]}}]},
}


def _parse_configuration(_: Path, content: bytes) -> None:
    """What of a configuration is code, of either Keras."""
    with contextlib.suppress(ValueError):
        config = parse_json(content, 1 << 20, 200)
        for keras_2 in (False, True):
            list(find_foreign(config, keras_2=keras_2))
        list(find_files(config))


def _graph_message() -> MetaGraphDef:
    meta = MetaGraphDef()
    for number in range(6):
        node = meta.graph_def.node.add(name=f"node_{number}", op="MatMul" if number else "Placeholder")
        node.input.extend([f"node_{number - 1}"] * 2 if number else [])
        node.attr["T"].type = 1
    meta.graph_def.library.function.add().signature.name = "function"
    return meta


def _recording(_: Path) -> bytes:
    return _graph_message().SerializeToString()


def _recording_text() -> bytes:
    return text_format.MessageToString(_graph_message().graph_def).encode()


def _saved_model(_: Path) -> bytes:
    model = SavedModel()
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.append(b"serve")
    info = graph.signature_def.add(key=b"serving_default").value.inputs.add(key=b"x").value
    info.dtype = 1
    info.tensor_shape.dim.add(size=-1)
    graph.graph_def.node.add(name=b"x", op=b"Placeholder")
    return bytes(model.SerializeToString())


def _metadata(_: Path) -> bytes:
    metadata = SavedMetadata()
    metadata.nodes.add(node_id=0, metadata=b'{"class_name": "Sequential", "config": {"layers": []}}')
    return bytes(metadata.SerializeToString())


def _parse_metadata(folder: Path, content: bytes) -> None:
    if not (folder / "variables").exists():
        (folder / "variables").mkdir()
        write_good(folder / "variables")
        for path in (folder / "variables").iterdir():
            path.rename(path.with_name(path.name.replace("ckpt-7", "variables")))
        (folder / "saved_model.pb").write_bytes(_saved_model(folder))
    (folder / "keras_metadata.pb").write_bytes(content)
    read_configuration(open_checkpoint(folder))


def _parse_warm_up(folder: Path, content: bytes) -> None:
    target = folder / RELEASE.model / str(RELEASE.version) / "assets.extra"
    target.mkdir(parents=True, exist_ok=True)
    (target / "tf_serving_warmup_requests").write_bytes(framed(content) + content)
    example_requests(open_storage(folder), RELEASE)


def _recorded_log(_: Path) -> bytes:
    tensor = b"\x08\x01\x12\x08\x12\x02\x08\x01\x12\x02\x08\x01\x2a\x04\x00\x00\x80\x3f"  # float32 [1, 1]
    log = PredictionLog()
    log.predict_log.request.inputs.add(key=b"x", value=tensor)
    log.predict_log.response.outputs.add(key=b"y", value=tensor)
    return bytes(log.SerializeToString())


def _parse_recorded(folder: Path, content: bytes) -> None:
    spec, problems = TensorSpec("float32", (None, 1)), Problems()
    naming = Naming(
        OutsideReference(), {"serving_default": Signature(inputs={"x": spec}, outputs={"y": spec})}
    )
    (folder / "requests").write_bytes(content)
    rows = sum(
        len(one.rows) for one in merge_exchanges(read_exchanges(folder / "requests", naming, problems))
    )
    logged = LoggedRequests(folder / "requests", "requests", naming, ["field"], problems)
    rows = min(rows, sum(batch.rows for batch in logged.batches(lambda: 2)))
    if problems.count or not rows:
        raise InvalidRecord("; ".join([*problems.listed(), *naming.notes]))


_TARGET = ServerTarget(model="digits", version=7)
_QUESTION = Question(
    signature="serving_default",
    inputs={"x": np.zeros((1, 1), np.float32)},
    outputs={"y": np.zeros((1, 1), np.float32)},
    specs={"y": TensorSpec("float32", (None, 1))},
)


def _server_status(_: Path) -> bytes:
    response = GetModelStatusResponse()
    for version, state in ((6, 30), (7, 50)):
        status = response.model_version_status.add(version=version, state=state)
        status.status.error_message = b"no such file"
    return bytes(response.SerializeToString())


def _server_answer(_: Path) -> bytes:
    tensor = b"\x08\x01\x12\x08\x12\x02\x08\x01\x12\x02\x08\x01\x2a\x04\x00\x00\x80\x3f"  # float32 [1, 1]
    response = PredictResponse()
    response.model_spec.version.value = 7
    response.outputs.add(key=b"y", value=tensor)
    return bytes(response.SerializeToString())


_SERVER_JSON = b"""{"model_version_status": [{"version": "7", "state": "END", "status": {"error_code": "X",
    "error_message": "no such file"}}], "outputs": {"y": [[1.5]]}}"""


def _refusing(parse: Callable[[bytes], object]) -> Callable[[Path, bytes], object]:
    """What a server answered: refused by an answer to the caller, which is no error for a user."""

    def run(_: Path, content: bytes) -> None:
        try:
            parse(content)
        except BadAnswer as err:
            raise RedrawError(str(err)) from err

    return run


def _parse_server_json(content: bytes) -> None:
    try:
        reply = Reply(status=200, value=parse_json(content, 1 << 20))
    except JsonMismatch:
        reply = Reply(status=200, value=None)
    judge_versions(7, dict(decode_states(reply)))
    decode_columns(_QUESTION, reply)


def _parse_record(folder: Path, content: bytes) -> None:
    """A record whose text is damaged, and one of any kind with a damaged value."""
    rng = random.Random(content)  # noqa: S311
    record = RECORDS[rng.choice(sorted(RECORDS))]
    text = record.to_json()
    path, item = rng.choice(list(leaves(text)))
    value = damaged(str(item).encode(), rng).decode("latin-1")
    numbers = (rng.randrange(-(1 << 70), 1 << 70), rng.random() * 1e300, float("nan"))
    with contextlib.suppress(InvalidRecord):
        changed = replaced(text, path, rng.choice((value, [value], {value: value}, *numbers)))
        type(record).from_text(json.dumps(changed), "a bucket")
    type(RELEASE).from_text(content, "a bucket")


def _parse_name(folder: Path, content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    for parse in (ModelName, check_attachment_name, Uri, lambda text: BucketUri(f"gs://b00/{text}")):
        try:
            parse(text)
        except InvalidName:
            continue
    name = check_object_name(text)
    assert (folder / name).resolve().is_relative_to(folder.resolve())


def _parse_time(folder: Path, content: bytes) -> None:
    try:
        parse_time(content.decode("latin-1"))
    except ValueError as err:
        raise InvalidName(str(err)) from err


TARGETS = {
    "hdf5": Target(sound=_weights, parse=_file("model.weights.h5", read_checkpoint)),
    "keras-archive": Target(sound=_archive, parse=_file("model.keras", _read_archive)),
    "keras-shards": Target(
        sound=lambda folder: b'{"metadata": {}, "weight_map": {"/layers": ["model_00000.weights.h5"]}}',
        parse=_parse_shards,
    ),
    "bundle-index": Target(sound=_index, parse=_parse_index),
    "object-graph": Target(sound=_graph, parse=_parse_graph),
    "saver-v1": Target(
        sound=_meta_of_v1,
        parse=lambda folder, content: read_checkpoint(
            _written(folder / "old-3", encode_table([(b"", content)]))
        ),
    ),
    "state-file": Target(sound=_state, parse=_adopt),
    "event-file": Target(
        sound=lambda _: Event(wall_time=1.7e9, step=7).SerializeToString(), parse=_parse_event, refuses=False
    ),
    "scan-recording": Target(
        sound=_recording,
        parse=_file("model.meta", lambda path: scan_files(ScanRequest(uri=Uri(path)))),
        refuses=False,
    ),
    "scan-recording-text": Target(
        sound=lambda folder: _recording_text(),
        parse=_file("graph.pbtxt", lambda path: scan_files(ScanRequest(uri=Uri(path)))),
    ),
    "scan-saved-model": Target(
        sound=_saved_model,
        parse=_file("saved_model.pb", lambda path: scan_files(ScanRequest(uri=Uri(path)))),
    ),
    "keras-configuration": Target(
        sound=lambda _: json.dumps(_CONFIGURATION).encode(), parse=_parse_configuration, refuses=False
    ),
    "saved-model": Target(
        sound=_saved_model,
        parse=_file("saved_model.pb", lambda path: inspect_uri(InspectRequest(uri=Uri(path.parent)))),
    ),
    "server-status": Target(
        sound=_server_status, parse=_refusing(lambda content: decode_status(_TARGET, content))
    ),
    "server-answer": Target(
        sound=_server_answer, parse=_refusing(lambda content: decode_answer(_TARGET, _QUESTION, content))
    ),
    "server-json": Target(sound=lambda _: _SERVER_JSON, parse=_refusing(_parse_server_json)),
    "keras-metadata": Target(sound=_metadata, parse=_parse_metadata),
    "warm-up": Target(sound=lambda _: warm_up_request(), parse=_parse_warm_up, refuses=False),
    "recorded-log": Target(
        sound=_recorded_log, parse=lambda folder, content: _parse_recorded(folder, framed(content) + content)
    ),
    "recorded-lines": Target(
        sound=lambda _: b'{"request": {"instances": [{"x": [1.5]}]}, "response": {"predictions": [[2]]}}\n',
        parse=_parse_recorded,
    ),
    "records": Target(sound=lambda _: RELEASE.to_bytes(), parse=_parse_record),
    "names": Target(sound=lambda _: b"digits/2026/variables/variables.index", parse=_parse_name),
    "times": Target(sound=lambda _: b"2026-01-02T03:04:05+01:00", parse=_parse_time),
}
