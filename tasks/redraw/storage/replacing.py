"""What a command may write over: an earlier record of its own kind."""

from __future__ import annotations

from pathlib import Path

from redraw.errors import InvalidRecord, NewerRecord, OutputExists
from redraw.records import Record
from redraw.storage.opening import read_uri
from redraw.uri import Uri

_LARGEST = 64 << 20


def demand_replaceable(uri: Uri, kind: type[Record], option: str) -> None:
    """Refuse to write a record over something else.

    Args:
        uri: Where the record is to go.
        kind: Its class.
        option: The flag that says where, for the message.

    Raises:
        NewerRecord: A later release wrote the record that is there.
        OutputExists: Another file is there, such as what is read, or a folder.
    """
    try:
        if not uri.is_bucket and Path(uri).is_dir():
            raise IsADirectoryError(uri)
        found = read_uri(uri, _LARGEST)
        if found is not None:
            kind.from_text(found, uri, _LARGEST)
    except NewerRecord:
        raise
    except (InvalidRecord, IsADirectoryError) as err:
        raise OutputExists(
            f"{uri}: expected no file, or an earlier {kind.__name__}, got another file."
            f" Choose another {option}."
        ) from err
