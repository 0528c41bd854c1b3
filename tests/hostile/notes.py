"""State files, event files, graphs and warm-up requests: what lies next to weights."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path

import google_crc32c

from redraw.ask.examples import example_requests
from redraw.checkpoint.bundle.encoding import encode_varint, mask_crc32c
from redraw.checkpoint.bundle.messages import Event, PredictionLog, SavedModel
from redraw.checkpoint.catalogue.adopt import adopt_checkpoints
from redraw.inspect.inspect import inspect_uri
from redraw.records import Signature, TensorSpec
from redraw.requests import AdoptRequest, InspectRequest
from redraw.storage.opening import open_storage
from redraw.uri import Uri
from tests.golden.records import RELEASE
from tests.hostile.bundles import write_good
from tests.hostile.case import FINE, Case
from tests.hostile.reading import read_checkpoint

__all__ = ["CASES", "framed", "warm_up_request"]

_TIMES = (math.nan, math.inf, -math.inf, -1.0, 253402300800.0, 1e300)


def framed(record: bytes) -> bytes:
    """A record as TFRecord files have it."""
    length = struct.pack("<Q", len(record))
    sums = [mask_crc32c(google_crc32c.value(data)) for data in (length, record)]
    return length + struct.pack("<I", sums[0]) + record + struct.pack("<I", sums[1])


def _state(name: str, content: bytes, expected: str = "CheckpointCorrupt", says: str = "") -> Case:
    """Opened by its folder, whose file `checkpoint` is this."""

    def act(folder: Path) -> None:
        write_good(folder)
        (folder / "checkpoint").write_bytes(content)
        read_checkpoint(folder)

    return Case(name=f"state-{name}", act=act, expected=expected, says=says)


def _adopted(name: str, change: Callable[[Path], object], expected: str = FINE, says: str = "") -> Case:
    def act(folder: Path) -> None:
        (folder / "run").mkdir()
        write_good(folder / "run")
        change(folder / "run")
        report = adopt_checkpoints(
            AdoptRequest(model="digits", source=Uri(folder / "run"), catalogue=Uri(folder / "catalogue"))
        )
        (adopted,) = report.adopted
        assert adopted.trained_at > "2000"

    return Case(name=f"adopt-{name}", act=act, expected=expected, says=says)


def _state_time(value: float) -> Callable[[Path], object]:
    text = 'model_checkpoint_path: "ckpt-7"\nall_model_checkpoint_paths: "ckpt-7"\n'
    time = {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan" if math.isnan(value) else repr(value))
    return lambda folder: (folder / "checkpoint").write_text(
        f"{text}all_model_checkpoint_timestamps: {time}\n"
    )


def _events(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "events.out.tfevents.1").write_bytes(content)


def _event(time: float) -> bytes:
    return framed(Event(wall_time=time, step=7).SerializeToString())


def _graph(name: str, content: bytes, says: str = "", expected: str = "CheckpointCorrupt") -> Case:
    def act(folder: Path) -> None:
        (folder / "saved_model.pb").write_bytes(content)
        inspect_uri(InspectRequest(uri=Uri(folder)))

    return Case(name=f"graph-file-{name}", act=act, expected=expected, says=says)


def _signature(dtype: int, dims: list[int]) -> bytes:
    model = SavedModel()
    graph = model.meta_graphs.add()
    entry = graph.signature_def.add(key=b"serve\x1b[2J")
    info = entry.value.inputs.add(key=b"x").value
    info.dtype = dtype
    for size in dims:
        info.tensor_shape.dim.add(size=size)
    return bytes(model.SerializeToString())


def _warm_up(name: str, content: bytes, spec: TensorSpec | None = None) -> Case:
    """Examples of a version with hostile requests or signatures: none, or zeros, and no memory."""

    def act(folder: Path) -> None:
        target = folder / RELEASE.model / str(RELEASE.version) / "assets.extra"
        target.mkdir(parents=True)
        (target / "tf_serving_warmup_requests").write_bytes(content)
        signature = Signature(inputs={"x": spec or TensorSpec("float32", (None, 2))}, outputs={})
        release = RELEASE.__class__(**{**vars(RELEASE), "signatures": {"serving_default": signature}})
        found = example_requests(open_storage(folder), release)
        assert len(repr(found)) < 10_000

    return Case(name=f"warm-up-{name}", act=act, expected=FINE)


def warm_up_request(tensor: bytes | None = None) -> bytes:
    """A request with one tensor, by default of two numbers."""
    log = PredictionLog()
    log.predict_log.request.inputs.add(key=b"x", value=_tensor([1, 2]) if tensor is None else tensor)
    return bytes(log.SerializeToString())


def _request(tensor: bytes) -> bytes:
    return framed(warm_up_request(tensor))


def _tensor(dims: list[int], more: bytes = b"\x2d\x00\x00\x80\x3f") -> bytes:
    """A TensorProto of float32: its shape, and by default one value for all elements."""
    shape = b""
    for size in dims:
        dim = b"\x08" + encode_varint(size % (1 << 64))
        shape += b"\x12" + encode_varint(len(dim)) + dim
    return b"\x08\x01\x12" + encode_varint(len(shape)) + shape + more


_LENGTH = struct.pack("<Q", 1 << 60)
_LYING = _LENGTH + struct.pack("<I", mask_crc32c(google_crc32c.value(_LENGTH)))
_NESTED = b"a { " * 5000 + b"} " * 5000
CASES = [
    _state("good", b'model_checkpoint_path: "/elsewhere/ckpt-7"', FINE),
    _state("nested", b'model_checkpoint_path: "ckpt-7" ' + _NESTED),
    _state("nested-lists", b'model_checkpoint_path: "ckpt-7" a: ' + b"[" * 5000),
    _state("3-MB", b'model_checkpoint_path: "ckpt-7"\n' * 100_000, says="at most"),
    _state("no-text", b"\xff\xfe\x00"),
    _state("empty", b"", says="model_checkpoint_path"),
    _state("unquoted", b"model_checkpoint_path: ckpt-7"),
    _state("path-dots", b'model_checkpoint_path: "../../outside/secret"', "CheckpointNotFound", "'secret'"),
    _state("path-of-dots-alone", b'model_checkpoint_path: ".."', "CheckpointNotFound"),
    _state("path-escapes", rb'model_checkpoint_path: "\033[2J"', "CheckpointNotFound", r"\\x1b\[2J"),
    _state("path-900", b'model_checkpoint_path: "' + b"n" * 900 + b'"', "CheckpointNotFound"),
    _state("path-null", rb'model_checkpoint_path: "\000"', "CheckpointNotFound"),
    _adopted(
        "nested-state", lambda folder: (folder / "checkpoint").write_bytes(_NESTED), "CheckpointCorrupt"
    ),
    *(_adopted(f"state-time-{value}", _state_time(value)) for value in _TIMES),
    *(_adopted(f"event-time-{value}", _events(_event(value))) for value in _TIMES),
    _adopted("events-length-lies", _events(struct.pack("<QI", 1 << 60, 0))),
    _adopted(
        "events-length-lies-with-checksum",
        _events(
            framed(b"")[:0]
            + struct.pack("<Q", 1 << 60)
            + struct.pack("<I", mask_crc32c(google_crc32c.value(struct.pack("<Q", 1 << 60))))
        ),
    ),  # fmt: skip
    _adopted("events-cut-off", _events(_event(1.7e9)[:-3])),
    _adopted("events-no-event", _events(framed(b"\xff" * 30))),
    _adopted("events-17-MB-each", _events(framed(bytes(17 << 20)) + _event(1.7e9))),
    _adopted("events-folder", lambda folder: (folder / "events.out.tfevents.1").mkdir()),
    _graph("empty", b"", "a SavedModel with a graph"),
    _graph("garbled", b"\xff" * 100, "SavedModel protocol buffer"),
    _graph("deep", b"\x12\xff\x01" * 2000, "SavedModel protocol buffer"),
    _graph("dtype-999", _signature(999, []), "number 999"),
    _graph("dimensions", _signature(1, [1 << 62] * 300), expected=FINE),
    _graph("length-lies", b"\x12\xff\xff\xff\xff\x07", "SavedModel protocol buffer"),
    _warm_up("good", _request(_tensor([1, 2]))),
    _warm_up("tensor-of-2-to-the-40", _request(_tensor([1 << 20, 1 << 20]))),
    _warm_up("tensor-of-negative-size", _request(_tensor([-1, -2]))),
    _warm_up("tensor-of-many-dimensions", _request(_tensor([1] * 200))),
    _warm_up("tensor-short", _request(_tensor([1, 2], b"\x22\x01\x00"))),
    _warm_up("tensor-garbled", _request(b"\xff" * 20)),
    _warm_up("length-lies", struct.pack("<QI", 1 << 62, 0)),
    _warm_up("many", _request(_tensor([1, 2])) * 5000),
    _warm_up("signature-of-2-to-the-60", b"", TensorSpec("float32", (None, 1 << 30, 1 << 30))),
    _warm_up("signature-of-strings", b"", TensorSpec("string", (1 << 40,))),
]
