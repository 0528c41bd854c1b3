"""The webhooks that receive events: their names are in the configuration, their URLs and secrets are not.

`REDRAW_WEBHOOKS` lists names. The URL and secret of a name are the environment variables
`REDRAW_WEBHOOK_<NAME>_URL` and `REDRAW_WEBHOOK_<NAME>_SECRET`, or, in a stage, the Airflow connection of that
name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from redraw.errors import InvalidSetting
from redraw.settings import webhook_variables
from redraw.storage.credentials import ask_operator

_ENCODED = "whsec_"


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A webhook. Its URL may be as secret as its key, so messages show only its name and host.

    Attributes:
        name: Its name in the configuration.
        url: The URL for POST requests.
        secret: The key of the signatures; empty if there is none.
    """

    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False, default="")

    def __post_init__(self) -> None:
        """Check the URL and the secret.

        Raises:
            InvalidSetting: One of them is malformed; the message shows neither.
        """
        try:
            parts = urlsplit(self.url)
            valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            valid = False
        if not valid or not self.url.isprintable():
            raise InvalidSetting(
                f"webhook {self.name}: expected a URL in the form https://HOST/PATH, got another text."
                " Correct the environment variable or the Airflow connection of the webhook."
            )
        self._key()

    @property
    def label(self) -> str:
        """The webhook's name in messages."""
        return f"webhook {self.name} ({urlsplit(self.url).hostname})"

    def sign(self, event_id: str, timestamp: int, body: bytes) -> str:
        """The value of the header `webhook-signature`.

        Raises:
            InvalidSetting: It has no secret.

        Source:
            https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
        """
        if not (key := self._key()):
            raise InvalidSetting(
                f"{self.label}: expected a secret for signatures, got none. Set the environment variable of"
                " the secret, or the password of the Airflow connection."
            )
        digest = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        return f"v1,{base64.b64encode(digest).decode()}"

    def _key(self) -> bytes:
        if not self.secret.startswith(_ENCODED):
            return self.secret.encode()
        try:
            return base64.b64decode(self.secret.removeprefix(_ENCODED), validate=True)
        except binascii.Error as err:
            raise InvalidSetting(
                f"webhook {self.name}: expected base64 after {_ENCODED} in the secret, got another text."
                " Correct the secret."
            ) from err


def find_webhook(name: str) -> Webhook:
    """Look up a webhook's URL and secret by its name.

    Raises:
        InvalidSetting: They are missing or malformed.
        StorageUnavailable: The operator did not answer.
    """
    variable, url, secret = webhook_variables(name)
    if not url and (granted := ask_operator({"webhook": name})):
        url, secret = granted["url"], granted["secret"]
    if not url:
        raise InvalidSetting(
            f"webhook {name}: expected its URL in {variable}, or in Airflow a connection of this name, got"
            " neither. Set one of them, or remove the name from REDRAW_WEBHOOKS."
        )
    return Webhook(name=name, url=url, secret=secret or "")
