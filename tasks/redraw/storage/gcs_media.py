"""Whether a server honours the precondition and the checksum of an upload that is nothing but content.

Cloud Storage does; servers that stand in for it may take such an upload for anything. It is tried with an
object that a server which honours both never makes.
"""

from __future__ import annotations

import logging
import threading
import uuid
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import quote

import google_crc32c
import requests
from google.auth import exceptions as auth

from redraw.storage.gcs_retry import Patience
from redraw.storage.gcs_upload import Session, Upload

logger = logging.getLogger(__name__)

# For a smaller file the question would cost more than it gains.
_LEAST_BYTES = 8 << 20
_CONTENT = b"redraw"


class MediaUploads:
    """Knows of one bucket's server, once it was asked."""

    def __init__(self, session: Session, patience: Patience) -> None:
        self._session, self._patience = session, patience
        self._honoured: bool | None = None
        self._asking = threading.Lock()

    def prefer(self, upload: Upload) -> Upload:
        """The upload as the server takes it best. What goes wrong here will be said of the upload itself."""
        if upload.size < _LEAST_BYTES or isinstance(upload.source, bytes):
            return upload
        with self._asking:
            if self._honoured is None:
                try:
                    self._honoured = _is_honoured(self._session, upload, self._patience)
                except (requests.RequestException, auth.GoogleAuthError):
                    return upload
        return replace(upload, media=self._honoured)


def _is_honoured(session: Session, upload: Upload, patience: Patience) -> bool:
    """Try it where an upload is to go; of the upload itself nothing is sent."""
    folder = upload.name.rpartition("/")[0].split("/")[:1]
    trial = replace(
        upload,
        name="/".join([*folder, f".redraw-{uuid.uuid4().hex}"]),
        source=_CONTENT,
        size=len(_CONTENT),
        crc32c=google_crc32c.value(_CONTENT),
        sha256=None,
        media=True,
    )
    # To replace a generation that no object has, and to create one with another checksum.
    refused = {
        HTTPStatus.PRECONDITION_FAILED: replace(trial, generation=1),
        HTTPStatus.BAD_REQUEST: replace(trial, generation=0, crc32c=trial.crc32c ^ 1),
    }
    return all(_is_refused(session, one, status, patience) for status, one in refused.items())


def _is_refused(session: Session, trial: Upload, status: HTTPStatus, patience: Patience) -> bool:
    response = trial.request(session, patience.silence)
    if response.ok:
        where = f"{trial.endpoint}/storage/v1/b/{trial.bucket}/o/{quote(trial.name, safe='')}"
        session.request("DELETE", where, timeout=patience.silence)
    logger.debug("an upload of only content was answered %d, and %d is right", response.status_code, status)
    return bool(response.status_code == status)
