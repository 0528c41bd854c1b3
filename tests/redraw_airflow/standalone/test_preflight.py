from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.preflight import check_ports, prepare_state, remove_state


def _up(environment: dict[str, str], *before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-m", "redraw_airflow.standalone", "up"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _one_error_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done
    (line,) = done.stderr.splitlines()
    return line


def test_up_port_in_use_says_so_in_one_line_and_starts_nothing(
    tmp_path: Path, unused_port: int, import_path: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        done = _up(
            import_path
            | {
                "REDRAW_STATE": str(tmp_path / "state"),
                "REDRAW_AIRFLOW_PORT": str(taken),
                "REDRAW_GCS_PORT": str(unused_port),
            }
        )

    line = _one_error_line(done)
    assert line.startswith(f"error: port {taken}: expected a free port on 127.0.0.1")
    assert "REDRAW_AIRFLOW_PORT" in line
    assert not (tmp_path / "state" / "services.json").exists()


def test_up_full_disk_says_so_in_one_line(tmp_path: Path, import_path: dict[str, str]) -> None:
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)
    unshare = ["unshare", "--mount", *as_root]
    allowed = subprocess.run([*unshare, "true"], capture_output=True, text=True)
    if allowed.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {allowed.stderr.strip()}")
    mount = 'mount -t tmpfs -o size=1m none "$REDRAW_STATE" && exec "$@"'
    done = _up(import_path | {"REDRAW_STATE": str(tmp_path)}, *unshare, "sh", "-c", mount, "sh")

    line = _one_error_line(done)
    assert line.startswith(f"error: {tmp_path}: expected 500 MB of free disk space, got 1 MB")


def test_prepare_state_path_of_a_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")

    with pytest.raises(EmbeddedError, match=r"cannot use this folder for the state.*Set REDRAW_STATE"):
        prepare_state(tmp_path / "state")


def test_prepare_state_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    prepare_state(tmp_path / "a" / "state")

    assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700


def test_remove_state_own_files_go_and_others_stay(tmp_path: Path) -> None:
    prepare_state(tmp_path)
    (tmp_path / "airflow" / "airflow.db").write_text("rows")
    (tmp_path / "mine.txt").write_text("kept")

    remove_state(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "mine.txt").unlink()
    remove_state(tmp_path)
    assert not tmp_path.exists()


@pytest.mark.parametrize("mark", ["storage-token", "services.json"])
def test_state_folder_of_an_earlier_version_is_used_and_removed(mark: str, tmp_path: Path) -> None:
    (tmp_path / "airflow").mkdir()
    (tmp_path / mark).touch()
    prepare_state(tmp_path)
    remove_state(tmp_path)
    assert not tmp_path.exists()


def test_state_folder_that_holds_other_things_is_left_as_it_is(tmp_path: Path) -> None:
    """Such as a home with an Airflow of one's own in it."""
    tmp_path.chmod(0o755)
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "airflow.db").write_text("rows")

    for call in (prepare_state, remove_state):
        with pytest.raises(EmbeddedError, match="REDRAW_STATE"):
            call(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["airflow"]
    assert (tmp_path / "airflow" / "airflow.db").read_text() == "rows"
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_check_ports_server_that_just_ended_leaves_its_port_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as connection:
            # The side that closes first keeps the port in TIME_WAIT.
            connection.close()
            assert client.recv(1) == b""
        with pytest.raises(EmbeddedError, match="expected a free port"):
            check_ports({"REDRAW_GCS_PORT": port})

    check_ports({"REDRAW_GCS_PORT": port})
