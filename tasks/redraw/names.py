"""Names that arrive from outside, checked before they become a path or a module.

A model's name is the name of the module that defines it; it becomes a folder, an
object prefix and an import, so it may hold nothing that leads elsewhere.
"""

from __future__ import annotations

import re

from redraw.errors import InvalidName

__all__ = [
    "CHECKPOINT_RECORD",
    "check_attachment_name",
    "check_bucket",
    "check_model_name",
    "split_bucket_uri",
]

# In the folder of each checkpoint of a catalogue: the last that is written of it.
CHECKPOINT_RECORD = "record.json"

_MODEL = re.compile(r"[a-z][a-z0-9_]{0,62}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_ATTACHMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}(\.[a-z0-9]{1,12})+")
_PREFIX = re.compile(r"[A-Za-z0-9_.=+-]+(/[A-Za-z0-9_.=+-]+)*")


def check_model_name(name: str) -> str:
    """Return a model's name unchanged.

    Args:
        name: One to 63 of `a`-`z`, `0`-`9` and `_`, a letter first.

    Returns:
        The same name.

    Raises:
        InvalidName: The name has any other form.
    """
    if not _MODEL.fullmatch(name):
        raise InvalidName(
            f"model name {name!r}: expected a lower-case letter followed by up to 62 lower-case"
            " letters, digits or underscores. List the models with 'redraw models'."
        )
    return name


def check_attachment_name(name: str) -> str:
    """Return the name of something to look at beside a version unchanged.

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


def check_bucket(uri: str) -> str:
    """Return the `gs://bucket` or `gs://bucket/prefix` without a slash at its end.

    Args:
        uri: A bucket, or a folder in one.

    Returns:
        The same URI, without a trailing slash.

    Raises:
        InvalidName: Another scheme, or a bucket or prefix that Cloud Storage or a
            path could read differently (`..`, spaces, upper case, control characters).

    Source:
        https://cloud.google.com/storage/docs/buckets#naming
    """
    split_bucket_uri(uri)
    return uri.rstrip("/")


def split_bucket_uri(uri: str) -> tuple[str, str]:
    """Split `gs://bucket/prefix` into the bucket's name and the prefix ('' for none).

    Raises:
        InvalidName: As `check_bucket`.
    """
    scheme, separator, rest = uri.partition("://")
    bucket, _, prefix = rest.rstrip("/").partition("/")
    parts = prefix.split("/") if prefix else []
    valid = (
        scheme == "gs"
        and separator
        and _BUCKET.fullmatch(bucket)
        and ".." not in bucket
        and (not prefix or _PREFIX.fullmatch(prefix))
        and not any(part in {".", ".."} for part in parts)
    )
    if not valid:
        raise InvalidName(
            f"bucket {uri!r}: expected gs://BUCKET or gs://BUCKET/PREFIX, the bucket in 3 to 222"
            " lower-case letters, digits, '-', '_' or '.', no '..' and no spaces. Correct the URI."
        )
    return bucket, prefix
