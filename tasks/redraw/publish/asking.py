"""Who asks for a change."""

from __future__ import annotations

import getpass
import os
import socket


def who_asks(named: str | None) -> str:
    """Who is to stand in a record: as named, or else this process's user and machine.

    Returns:
        That, or `user@machine`; a user without a name, as containers have them, by number.
    """
    if named:
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
