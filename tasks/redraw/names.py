"""Check names from outside before they become a path or a module.

A model's name is the name of the module that defines it. It becomes a folder, an object prefix and an import,
so it may have no characters that lead elsewhere.
"""

from __future__ import annotations

import re
from typing import Self

from redraw.errors import InvalidName

# The record in the folder of each checkpoint of a catalogue, which is written last.
CHECKPOINT_RECORD = "record.json"

_MODEL = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LONGEST_WORDS = 10_000
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
# Limits of Cloud Storage and of file systems, in bytes.
_LONGEST_OBJECT, _LONGEST_PART = 1024, 255
_ATTACHMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}(\.[a-z0-9]{1,12})+")


class ModelName(str):
    """A model's name, parsed once, when it arrives.

    Args:
        name: One to 63 of `a`-`z`, `0`-`9` and `_`, a letter first.

    Raises:
        InvalidName: The name has any other form.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> Self:
        """Parse a text, unless it is parsed already."""
        if not isinstance(name, cls) and not _MODEL.fullmatch(name):
            raise InvalidName(
                f"model name {name!r:.80}: expected a lower-case letter followed by up to 62 lower-case"
                " letters, digits or underscores. List the models with 'redraw models'."
            )
        return super().__new__(cls, name)


class Words(str):
    """A text that people write, such as a reason, without the spaces around it; blank counts as none.

    Raises:
        InvalidName: It is not UTF-8, or has more than 10,000 characters.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Parse a text, unless it is parsed already."""
        if len(text) > _LONGEST_WORDS or _SURROGATE.search(text):
            raise InvalidName(
                f"text {text!r:.80}: expected UTF-8 of at most {_LONGEST_WORDS:,} characters. Correct the"
                " text."
            )
        return super().__new__(cls, text.strip())


def check_attachment_name(name: str) -> str:
    """Return an attachment's name unchanged, if it is valid.

    Args:
        name: Lower-case letters, digits, `-` and `_`, then an ending: `report.html`.

    Raises:
        InvalidName: The name has any other form.
    """
    if not _ATTACHMENT.fullmatch(name):
        raise InvalidName(
            f"attachment {name!r}: expected a file name of lower-case letters, digits, '-' and '_' with an"
            " ending, as report.html. Validate the export again, and push the new report."
        )
    return name


def check_object_name(name: str) -> str:
    """Return an object's name unchanged, if it can be a path below a folder.

    Raises:
        InvalidName: It is empty, absolute or too long, or would lead elsewhere.

    Source:
        https://cloud.google.com/storage/docs/objects#naming
    """
    parts = name.split("/")
    if (
        not {"", ".", ".."}.isdisjoint(parts)
        or _CONTROLS.search(name)
        or len(encoded := name.encode("utf-8", "surrogatepass")) > _LONGEST_OBJECT
        or (len(encoded) > _LONGEST_PART and any(map(_is_long, parts)))
    ):
        raise InvalidName(
            f"object {name!r:.200}: expected a relative path of at most {_LONGEST_OBJECT} bytes without '..',"
            " empty parts, backslashes or control characters. Rename or remove the object."
        )
    return name


def _is_long(part: str) -> bool:
    return len(part.encode("utf-8", "surrogatepass")) > _LONGEST_PART
