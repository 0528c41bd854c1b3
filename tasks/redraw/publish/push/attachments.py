"""What people look at, next to the version: the report's page and pictures, and the restore ledger.

The files lie in scratch and go with it; a bucket keeps them as long as the version.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from redraw.names import check_attachment_name
from redraw.publish.bucket.attachments import publish_content
from redraw.publish.bucket.layout import ATTACHMENT_BYTES, Claim
from redraw.records import ExportedModel, ValidationReport
from redraw.records.files import ListedFile
from redraw.storage.opening import Storage, in_parallel, read_uri

_logger = logging.getLogger(__name__)


def name_attachments(export: ExportedModel, report: ValidationReport) -> Mapping[str, str]:
    """What there is to look at, name to URI.

    Raises:
        InvalidName: The report names something that is no file name.
    """
    named = {**report.attachments, "ledger.json": export.ledger_uri}
    return {check_attachment_name(name): uri for name, uri in named.items()}


def publish_attachments(
    storage: Storage, claim: Claim, attachments: Mapping[str, str]
) -> dict[str, ListedFile]:
    """Create the objects of the attachments; those that are there already are as good.

    One that is gone, or too large to be shown, is left out and logged: the version is no
    worse without its picture.

    Args:
        storage: The model bucket.
        claim: The version's.
        attachments: Name to URI.

    Returns:
        Name to its object, of those that were there to be read.

    Raises:
        ObjectConflict: Another content stands under one of the names.
        StorageError: The bucket, or one that an attachment lies in, is forbidden or does not answer.
    """
    names = sorted(attachments)
    sent = in_parallel(lambda name: _publish(storage, claim, name, attachments[name]), names)
    return {name: file for name, file in zip(names, sent, strict=True) if file is not None}


def _publish(storage: Storage, claim: Claim, name: str, uri: str) -> ListedFile | None:
    content = read_uri(uri, ATTACHMENT_BYTES + 1)
    if content is None or len(content) > ATTACHMENT_BYTES:
        got = "no such file" if content is None else f"more than {ATTACHMENT_BYTES} bytes"
        _logger.warning("%s: expected a file to keep with the version, got %s: left out", uri, got)
        return None
    return publish_content(storage, claim, name, content)
