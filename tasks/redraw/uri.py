"""Paths of this machine and `gs://BUCKET/NAME`, parsed once, when they arrive."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Self

from redraw.errors import InvalidName

_SCHEME = "gs://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
# Includes Python's surrogates for bytes that are not UTF-8, because TensorFlow refuses such paths.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# The longest path on Linux.
_LONGEST = 4095
_FOLDER = re.compile(r"[A-Za-z0-9_.=+-]+(/[A-Za-z0-9_.=+-]+)*")


class Uri(str):
    """A file, a folder or the common prefix of several files, on this machine or in a bucket.

    It is a text, without a slash at its end, and prints, compares and is stored as one.

        >>> (Uri("gs://models/") / "mnist").parent
        'gs://models'

    Args:
        text: A path, or `gs://BUCKET` or `gs://BUCKET/NAME`.

    Raises:
        InvalidName: It has another scheme, a bucket's name that Cloud Storage does not allow, `..`, or
            control characters.

    Source:
        https://cloud.google.com/storage/docs/buckets#naming
    """

    __slots__ = ()

    def __new__(cls, text: str | os.PathLike[str]) -> Self:
        """Parse a text, unless it is parsed already."""
        if isinstance(text, cls):
            return text
        text = os.fspath(text)
        scheme, separator, path = text.rpartition("://")
        # The path of the root keeps its slash.
        checked = super().__new__(cls, f"{scheme}{separator}{path.rstrip('/')}" or text)
        if "://" not in checked and (_CONTROLS.search(checked) or len(checked) > _LONGEST):
            raise InvalidName(
                f"path {text!r:.200}: expected UTF-8, at most {_LONGEST} characters, no control characters."
                " Correct the path."
            )
        if not checked._is_valid():
            raise InvalidName(
                f"bucket {text!r:.200}: expected gs://BUCKET or gs://BUCKET/PREFIX, the bucket in 3 to 222"
                " lower-case letters, digits, '-', '_' or '.', no '..' and no spaces. Correct the URI."
            )
        return checked

    def _is_valid(self) -> bool:
        if "://" not in self:
            return True
        parts = self.key.split("/") if self.key else []
        return (
            self.is_bucket
            and len(self) <= _LONGEST
            and _BUCKET.fullmatch(self.bucket) is not None
            and ".." not in self.bucket
            and self.isprintable()
            and not {"", ".", ".."}.intersection(parts)
        )

    @property
    def is_bucket(self) -> bool:
        """Whether it is in a bucket."""
        return self.startswith(_SCHEME)

    @property
    def bucket(self) -> str:
        """The bucket's name, if it is in a bucket."""
        return self.removeprefix(_SCHEME).partition("/")[0]

    @property
    def key(self) -> str:
        """The name in the bucket; empty for the bucket itself."""
        return self.removeprefix(_SCHEME).partition("/")[2]

    @property
    def name(self) -> str:
        """The last part."""
        return self.key.rpartition("/")[2] if self.is_bucket else Path(self).name

    @property
    def parent(self) -> Uri:
        """The folder that contains it; for a bucket, the bucket itself."""
        if not self.is_bucket:
            return Uri(Path(self).parent)
        return _unchecked(self.rpartition("/")[0]) if self.key else self

    def __truediv__(self, name: str) -> Uri:
        return _unchecked(f"{self.rstrip('/')}/{name}")

    def with_ending(self, ending: str) -> Uri:
        """The URI next to it with its name and an ending, such as `.json`."""
        return _unchecked(f"{self}{ending}")

    def absolute(self) -> Uri:
        """The absolute URI, which records use."""
        return self if self.is_bucket else Uri(Path(self).absolute())


class LocalPath(str):
    """A file or a folder of this machine.

    Raises:
        InvalidName: It is a URI, or no path.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Parse a text, unless it is parsed already."""
        if "://" in text:
            raise InvalidName(
                f"path {text!r:.200}: expected a local path, got a URI. Name a path on this machine."
            )
        return super().__new__(cls, Uri(text))


class BucketUri(Uri):
    """A bucket, or a folder in one, that Redraw may write to and list.

    Raises:
        InvalidName: It is in no bucket, or its name has characters that Cloud Storage or a path could read
            differently: `..`, spaces, control characters.
    """

    __slots__ = ()

    def _is_valid(self) -> bool:
        return self.is_bucket and super()._is_valid() and (not self.key or bool(_FOLDER.fullmatch(self.key)))


def _unchecked(text: str) -> Uri:
    """A URI of parts that are checked already, or that come from a listing."""
    return str.__new__(Uri, text)
