"""The state folder and the ports: checked before anything starts, and removed afterwards."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.settings import HOST

# Airflow's database and logs, and a few versions of the model that ships.
_SPACE_BYTES = 500_000_000
_FOLDERS = ("airflow", "gcs", "logs", "cache", "work")
_FILES = ("passwords.json", "services.json", "storage-token", "lock", "made-by-redraw")
# Files that mark a state folder of ours: each folder has the first; those of earlier versions have the
# others.
_MARKS = ("made-by-redraw", "storage-token", "services.json")


def prepare_state(state: Path) -> None:
    """Make the state folder, readable only by its owner, on a disk that has room for it.

    Raises:
        EmbeddedError: The folder cannot be made or has other files, or the disk is full.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        if any(state.iterdir()) and not _is_ours(state):
            raise EmbeddedError(
                f"{state}: expected a new or empty folder, or a folder of 'make run', got a folder with"
                " other files. Set REDRAW_STATE to a new folder."
            )
        state.chmod(0o700)
        (state / _MARKS[0]).touch()
        free = shutil.disk_usage(state).free
        if free < _SPACE_BYTES:
            raise EmbeddedError(
                f"{state}: expected {_SPACE_BYTES // 10**6} MB of free disk space, got {free // 10**6} MB."
                " Free some space, or set REDRAW_STATE to a folder on another disk."
            )
        for name in _FOLDERS:
            (state / name).mkdir(exist_ok=True)
    except OSError as err:
        raise EmbeddedError(
            f"{state}: cannot use this folder for the state: {err}. Set REDRAW_STATE to another folder."
        ) from err


def remove_state(state: Path) -> None:
    """Remove our files from the state folder, and the folder if it is empty then.

    `REDRAW_STATE` may name any folder, so other files in it must stay.

    Raises:
        EmbeddedError: `make run` did not make the folder.
    """
    if state.is_dir() and any(state.iterdir()) and not _is_ours(state):
        raise EmbeddedError(
            f"{state}: expected a folder that 'make run' created, got another folder. Nothing was removed."
            " Correct REDRAW_STATE."
        )
    for name in _FOLDERS:
        if (state / name).is_dir():
            shutil.rmtree(state / name)
    for name in _FILES:
        (state / name).unlink(missing_ok=True)
    if state.is_dir() and not any(state.iterdir()):
        state.rmdir()


def _is_ours(state: Path) -> bool:
    return any((state / mark).exists() for mark in _MARKS)


def check_ports(ports: Mapping[str, int]) -> None:
    """Check that the services' ports are free.

    Args:
        ports: The environment variable that sets a port, and the port.

    Raises:
        EmbeddedError: A port is in use; the message names it.
    """
    for variable, port in ports.items():
        with socket.socket() as probe:
            # A port that a server has just released counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as err:
                raise EmbeddedError(
                    f"port {port}: expected a free port on {HOST}, got '{err.strerror}'. End the process that"
                    f" listens on it, or set {variable} to another port."
                ) from err
