"""Names that arrive from outside, checked before they become a path or a module.

A model's name is the name of the module that defines it; it becomes a folder, an
object prefix and an import, so it may hold nothing that leads elsewhere.
"""

from __future__ import annotations

import re
from typing import Self

from redraw.errors import InvalidName

__all__ = [
    "CHECKPOINT_RECORD",
    "ModelName",
    "check_attachment_name",
]

# In the folder of each checkpoint of a catalogue: the last that is written of it.
CHECKPOINT_RECORD = "record.json"

_MODEL = re.compile(r"[a-z][a-z0-9_]{0,62}")
_ATTACHMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}(\.[a-z0-9]{1,12})+")


class ModelName(str):
    """A model's name, parsed once, where it arrives.

    Args:
        name: One to 63 of `a`-`z`, `0`-`9` and `_`, a letter first.

    Raises:
        InvalidName: The name has any other form.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> Self:
        """Parse a text; what is parsed already is taken as it is."""
        if not isinstance(name, cls) and not _MODEL.fullmatch(name):
            raise InvalidName(
                f"model name {name!r}: expected a lower-case letter followed by up to 62 lower-case"
                " letters, digits or underscores. List the models with 'redraw models'."
            )
        return super().__new__(cls, name)


def check_attachment_name(name: str) -> str:
    """Return the name of something to look at next to a version unchanged.

    Args:
        name: Lower-case letters, digits, `-` and `_`, then an ending: `report.html`.

    Returns:
        The same name.

    Raises:
        InvalidName: The name has any other form.
    """
    if not _ATTACHMENT.fullmatch(name):
        raise InvalidName(
            f"attachment {name!r}: expected a file name of lower-case letters, digits, '-' and '_' with"
            " an ending, as report.html. Validate again, and push that report."
        )
    return name
