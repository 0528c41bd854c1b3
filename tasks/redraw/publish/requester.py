"""The person or process that requests a change."""

from __future__ import annotations

import getpass
import os
import socket


def name_requester(requester: str | None) -> str:
    """The requester that a record names: the given one, or this process's `user@machine`.

    A user without a name, as in containers, is given by number.
    """
    if requester:
        return requester
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
