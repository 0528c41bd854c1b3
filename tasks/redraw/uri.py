"""Where something is: a path of this machine, or `gs://BUCKET/NAME`. Parsed once, at the border."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Self

from redraw.errors import InvalidName

_SCHEME = "gs://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
# With what stands in Python for bytes that are no UTF-8: TensorFlow takes no such path.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Of a path on Linux, with its end.
_LONGEST = 4095
_FOLDER = re.compile(r"[A-Za-z0-9_.=+-]+(/[A-Za-z0-9_.=+-]+)*")


class Uri(str):
    """A file, a folder or the common beginning of several files, on this machine or in a bucket.

    A text, so that it prints, compares and is stored as one: without a slash at its end.

        >>> (Uri("gs://models/") / "mnist").parent
        'gs://models'

    Args:
        text: A path, or `gs://BUCKET` or `gs://BUCKET/NAME`.

    Raises:
        InvalidName: Another scheme, a bucket that Cloud Storage would not allow, a name with `..`, or
            any with control characters.

    Source:
        https://cloud.google.com/storage/docs/buckets#naming
    """

    __slots__ = ()

    def __new__(cls, text: str | os.PathLike[str]) -> Self:
        """Parse a text; what is parsed already is given back."""
        if isinstance(text, cls):
            return text
        text = os.fspath(text)
        scheme, separator, path = text.rpartition("://")
        # Of a path that is the root the slash stays.
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
        """The bucket's name, of one that is in a bucket."""
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
        """The folder that it is in; of a whole bucket the bucket."""
        if not self.is_bucket:
            return Uri(Path(self).parent)
        return _unchecked(self.rpartition("/")[0]) if self.key else self

    def __truediv__(self, name: str) -> Uri:
        return _unchecked(f"{self.rstrip('/')}/{name}")

    def with_ending(self, ending: str) -> Uri:
        """What lies next to it under its name and an ending, such as `.json`."""
        return _unchecked(f"{self}{ending}")

    def absolute(self) -> Uri:
        """The same in any working directory, as records have it."""
        return self if self.is_bucket else Uri(Path(self).absolute())


class LocalPath(str):
    """A file or a folder of this machine.

    Raises:
        InvalidName: It is a URI, or no path.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Parse a text; what is parsed already is taken as it is."""
        if "://" in text:
            raise InvalidName(
                f"path {text!r:.200}: expected one of this machine, got a URI. Name a local path."
            )
        return super().__new__(cls, Uri(text))


class BucketUri(Uri):
    """A bucket, or a folder in one, that Redraw may write to and list.

    Raises:
        InvalidName: It is in no bucket, or its name holds something that Cloud Storage or a path
            could read differently: `..`, spaces, control characters.
    """

    __slots__ = ()

    def _is_valid(self) -> bool:
        return self.is_bucket and super()._is_valid() and (not self.key or bool(_FOLDER.fullmatch(self.key)))


def _unchecked(text: str) -> Uri:
    """What was joined of parts that are checked already, or that a listing gave."""
    return str.__new__(Uri, text)
