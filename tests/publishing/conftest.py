"""The proxy, the processes, and small exports."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.publishing.exports import Export, RemoteExport, send_export, small_files, write_export
from tests.publishing.kills import Killer
from tests.publishing.processes import Starter
from tests.publishing.proxy import FaultyProxy, run_proxy


@pytest.fixture
def proxy(gcs_server: str) -> Iterator[FaultyProxy]:
    """A proxy in front of the storage server, without faults yet."""
    with run_proxy(gcs_server) as running:
        yield running


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """Starts commands in processes of their own."""
    starter = Starter(tmp_path_factory.mktemp("commands"))
    yield starter
    starter.close()


@pytest.fixture
def killer(proxy: FaultyProxy, starter: Starter) -> Killer:
    """Runs commands through the proxy, and kills them."""
    return Killer(proxy=proxy, starter=starter)


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """A small export, validated."""
    return write_export(tmp_path_factory.mktemp("export") / "model", small_files())


@pytest.fixture
def remote_export(export: Export, new_bucket: Callable[[], str]) -> RemoteExport:
    """The same in a bucket of its own, validated there."""
    return send_export(export, f"{new_bucket()}/run/model")


@pytest.fixture
def unloadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this process publish what is quick to make and no model, as the commands' processes do."""
    monkeypatch.setattr("redraw.publish.live.loading.demand_loadable", lambda *_: None)
