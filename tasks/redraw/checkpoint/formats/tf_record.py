"""Read TFRecord files: warm-up requests, and the events that training writes for TensorBoard.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/third_party/xla/xla/tsl/lib/io/record_reader.cc
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import google_crc32c

from redraw.checkpoint.bundle.encoding import MalformedError, mask_crc32c
from redraw.checkpoint.bundle.messages import Event, parse_message
from redraw.records.times import is_moment
from redraw.storage.files import open_regular

_HEADER = struct.Struct("<QI")  # the length and its checksum
_FOOTER = struct.Struct("<I")  # the checksum of the record
logger = logging.getLogger(__name__)
# The beginning of event files' names.
EVENT_FILES = "events.out.tfevents."
# Status values of a SessionLog. A start has the step of the checkpoint that training resumes from.
_START, _CHECKPOINT = 1, 3
# Only the time of an event is read, not its images.
_LONGEST, _MOST_STEPS = 16 << 20, 1_000_000


def is_tf_record(path: Path) -> bool:
    """Whether a file begins with a length and its checksum, as TFRecord files do."""
    with open_regular(path) as file:
        header = file.read(_HEADER.size)
    return len(header) == _HEADER.size and _HEADER.unpack(header)[1] == mask_crc32c(
        google_crc32c.value(header[:8])
    )


def read_records(
    source: Path | bytes, longest: int | None = None, *, cut_longer: int | None = None
) -> Iterator[bytes]:
    """The records of an uncompressed TFRecord file.

    Args:
        source: The file, or its content.
        longest: Longer records, in bytes, are skipped unread.
        cut_longer: Longer records are cut to one byte more than this, unchecked.

    Yields:
        Each record, after a check of its checksum.

    Raises:
        MalformedError: The file is cut off, or a checksum differs.
    """
    remaining = len(source) if isinstance(source, bytes) else source.stat().st_size
    with io.BytesIO(source) if isinstance(source, bytes) else open_regular(source) as file:
        while remaining:
            header = _read(file, _HEADER.size)
            length, checksum = _HEADER.unpack(header)
            _check(header[:8], checksum, "a record's length")
            remaining -= _HEADER.size + length + _FOOTER.size
            if remaining < 0:
                raise MalformedError(
                    f"a record of {length} bytes", f"a file that is {-remaining} bytes too short"
                )
            if cut_longer is not None and length > cut_longer:
                yield _read(file, cut_longer + 1)
                file.seek(length - cut_longer - 1 + _FOOTER.size, io.SEEK_CUR)
                continue
            if longest is not None and length > longest:
                file.seek(length + _FOOTER.size, io.SEEK_CUR)
                continue
            record = _read(file, length)
            (checksum,) = _FOOTER.unpack(_read(file, _FOOTER.size))
            _check(record, checksum, "a record")
            yield record


def _read(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise MalformedError(f"{size} more bytes", f"{len(data)} bytes (the file is cut off)")
    return data


def _check(data: bytes, checksum: int, what: str) -> None:
    actual = mask_crc32c(google_crc32c.value(data))
    if actual != checksum:
        raise MalformedError(f"{what} with checksum {checksum:#010x}", f"checksum {actual:#010x}")


def times_in_event_files(paths: Iterable[Path]) -> dict[int, float]:
    """When each step was, according to TensorFlow's event files.

    Args:
        paths: Event files of one training, the oldest first.

    Returns:
        Step to seconds since 1970 UTC: of the step's last checkpoint in the files, or else of
        its first event. Times that a record cannot hold are left out.

    Source:
        https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/util/event.proto
    """
    event_times: dict[int, float] = {}
    checkpoint_times: dict[int, float] = {}
    for path in paths:
        try:
            for record in read_records(path, _LONGEST):
                event = parse_message(Event, record)
                if not is_moment(event.wall_time) or len(event_times) + len(checkpoint_times) >= _MOST_STEPS:
                    continue
                if event.session_log.status == _CHECKPOINT:
                    checkpoint_times[event.step] = event.wall_time
                elif event.session_log.status != _START:
                    event_times.setdefault(event.step, event.wall_time)
        except MalformedError as err:
            # A training that was killed leaves its last event unfinished.
            logger.info("%s ends early: %s", path, err)
    return event_times | checkpoint_times
