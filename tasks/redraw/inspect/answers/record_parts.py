"""Read recorded requests one by one: lines of JSON, or TFRecords of `PredictionLog`."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import decode_text
from redraw.checkpoint.bundle.messages import PredictionLog, parse_message
from redraw.checkpoint.formats.tf_record import is_tf_record, read_records
from redraw.errors import one_line
from redraw.inspect.answers.naming import UNNAMED, Misfit
from redraw.records import TensorSpec
from redraw.serving.tensor_proto import read_tensor_proto
from redraw.serving.values import decode_tensor
from redraw.storage.files import open_regular

# The longest line or record in bytes, and the most elements of a tensor in it.
_LONGEST = 64 << 20
_MOST_ELEMENTS = 16 << 20
_MOST_PROBLEMS = 5
_LONGEST_TEXT = 300
_ZLIB = dict.fromkeys((b"\x78\x01", b"\x78\x9c", b"\x78\xda"), "gzip or zlib")
_COMPRESSED = {
    **_ZLIB,
    b"\x1f\x8b": "gzip or zlib",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"PK\x03\x04": "zip",
}
# A TFRecord begins with a length of eight bytes, the last of which are zero.
_HEAD = 8
_FLOATS = ("float", "half", "bfloat")

_EXACT = 2.0**53

MODEL = "model"
# Input or output name to its value in a record: JSON values, or a serialized tensor.
Named = Mapping[str, Any]


class RecordParts(NamedTuple):
    """The parts of a record: the signature that it names, its inputs, its answers, and all fields of a line.

    For a `PredictionLog` the only field is `model`, if it names a model.
    """

    signature: str | None
    inputs: Named
    outputs: Named
    line: Mapping[str, Any]


class RecordedFile:
    """A file of recorded requests.

    Args:
        path: JSON lines, or TFRecords of `PredictionLog`.
        answers: Whether each record must have answers, which are read.
    """

    def __init__(self, path: Path, *, answers: bool) -> None:
        self._path, self._answers = path, answers
        self._is_log = is_tf_record(path)
        self.unit = "record" if self._is_log else "line"

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Each record with its number, unparsed; a record that is too long is cut.

        Raises:
            MalformedError: The file ends within a record, or is no such file.
        """
        if self._is_log:
            return enumerate(read_records(self._path, cut_longer=_LONGEST), start=1)
        lines = enumerate(_read_lines(self._path), start=1)
        return ((number, line) for number, line in lines if not line.isspace())

    def parse(self, record: bytes) -> RecordParts:
        """Parse a record.

        Raises:
            Misfit: It is no request, or too long.
            MalformedError: It is no `PredictionLog`.
        """
        if len(record) > _LONGEST:
            raise Misfit(f"expected a {self.unit} of at most {_LONGEST} bytes, got a longer one")
        return (_log_parts if self._is_log else _json_parts)(record, self._answers)

    def cut_off(self, count: int, err: MalformedError) -> str:
        """The error of a file of which only the first `count` records can be read."""
        return f"after {count} intact records: {err}" if self._is_log else f"line {count + 1}: {err}"


class Problems:
    """The problems of lines: the first few in words, and their number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.count = 0

    def add(self, text: str) -> None:
        """Count a problem; only the first few keep their words."""
        self.count += 1
        text = one_line(text, _LONGEST_TEXT)
        if len(self.texts) < _MOST_PROBLEMS:
            self.texts.append(text)

    def add_misfit(self, where: str, err: Exception) -> None:
        """Count a line that does not fit."""
        self.add(f"{where}: {str(err).removesuffix(' Correct the request.').rstrip('.')}")

    def listed(self) -> list[str]:
        """The first few problems, and the number of others."""
        more = self.count - len(self.texts)
        return [*self.texts, f"{more} more lines like these"] if more else self.texts


def _read_lines(path: Path) -> Iterator[bytes]:
    with open_regular(path) as file:
        head = file.read(_HEAD)
        compression = next((name for mark, name in _COMPRESSED.items() if head.startswith(mark)), "")
        if compression or b"\0" in head:
            got = (
                f"a file that is compressed with {compression}. Decompress the file"
                if compression
                else "damaged or other data"
            )
            raise MalformedError("JSON lines or TFRecords", got)
        file.seek(len(BOM_UTF8) if head.startswith(BOM_UTF8) else 0)
        while line := file.readline(_LONGEST + 1):
            yield line
            rest = line
            while len(line) > _LONGEST and rest and not rest.endswith(b"\n"):
                rest = file.readline(_LONGEST)


def _log_parts(record: bytes, answers: bool) -> RecordParts:
    parsed = parse_message(PredictionLog, record)
    if not parsed.HasField("predict_log"):
        raise Misfit("expected a predict_log, got a record of another kind")
    log = parsed.predict_log
    name = decode_text(log.request.model_spec.signature_name) or "serving_default"
    inputs, outputs = (
        {decode_text(entry.key): entry.value for entry in entries}
        for entries in (log.request.inputs, log.response.outputs if answers else ())
    )
    if answers and not outputs:
        raise Misfit("expected the request with its answer, got no answer")
    model = decode_text(log.request.model_spec.name)
    return RecordParts(name, inputs, outputs, {MODEL: model} if model else {})


def _json_parts(line: bytes, answers: bool) -> RecordParts:
    record = _parse_line(line)
    request = record.get("request", record) if isinstance(record, dict) else None
    response = record.get("response", record) if answers and request is not None else {}
    if not (isinstance(request, dict) and isinstance(response, dict)):
        expected = "a request and its answer" if answers else "a request"
        raise Misfit(f"expected a JSON object with {expected}, got another value")
    inputs = _columns(request, "inputs", "instances")
    outputs = _columns(response, "outputs", "predictions") if answers else {}
    name = request.get("signature_name", request.get("signature"))
    if name is not None and not isinstance(name, str):
        raise Misfit(f"signature_name: expected a text, got {name!r:.40}")
    return RecordParts(name or None, inputs, outputs, record)


def _parse_line(line: bytes) -> Any:
    try:
        try:
            return json.loads(line.decode())  # given bytes, it would detect the encoding of each line
        except ValueError:
            return json.loads(line)
    except (ValueError, RecursionError) as err:
        raise Misfit(f"expected a JSON object, got {type(err).__name__}: {str(err)[:80]}") from err


def _columns(record: Mapping[str, Any], by_column: str, by_row: str) -> Named:
    """The tensors of a request or response by name; the REST interface has them by column or by row."""
    if by_column in record:
        value = record[by_column]
        return value if _is_named(value) else {UNNAMED: value}
    rows = record.get(by_row)
    if not isinstance(rows, list):
        raise Misfit(f"expected {by_column} or {by_row}, got {', '.join(sorted(record)) or 'nothing'}")
    if not rows or not _is_named(rows[0]):
        return {UNNAMED: rows}
    names = rows[0].keys()
    if not all(_is_named(row) and row.keys() == names for row in rows):
        raise Misfit(f"expected the same names in each of {by_row}, got different names")
    return {name: [row[name] for row in rows] for name in names}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and set(value) != {"b64"}


def read_values(where: str, spec: TensorSpec, value: Any) -> np.ndarray:
    """A record's value as an array in its own dtype; JSON texts become strings if the signature has them."""
    if isinstance(value, bytes):
        try:
            return read_tensor_proto(value, _MOST_ELEMENTS)
        except MalformedError as err:
            raise Misfit(f"{where}: {err}") from err
    with suppress(ValueError, RecursionError, OverflowError):
        if (array := np.asarray(value)).dtype.kind in "biuf":
            return array
    return decode_tensor(where, spec, value)


def cast_values(where: str, spec: TensorSpec, value: Any) -> np.ndarray:
    """A record's value as an array in the dtype of the signature.

    Raises:
        Misfit: The dtype cannot represent every value.
    """
    array = read_values(where, spec, value)
    texts, complex_numbers = array.dtype.kind in "OSU", array.dtype.kind == "c"
    if (spec.dtype == "string") != texts or (complex_numbers and not spec.dtype.startswith("complex")):
        raise Misfit(f"{where}: expected {spec.dtype}, got {array.dtype.name}")
    if texts:
        return array
    with np.errstate(invalid="ignore", over="ignore"):
        cast = array.astype(numpy_dtype(spec.dtype))
    # An integer next to a float in JSON was rounded to a float: beyond 2^53 its value is lost.
    rounded = array.dtype.kind == "f" and not np.all(np.abs(array) < _EXACT)
    if not spec.dtype.startswith(_FLOATS) and (rounded or not np.array_equal(cast, array)):
        raise Misfit(
            f"{where}: expected {spec.dtype}, got {array.dtype.name} values that {spec.dtype} cannot hold"
        )
    return cast
