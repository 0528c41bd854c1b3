"""Machines that share nothing but a bucket, and a proxy that counts what passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.publishing.proxy import FaultyProxy, run_proxy


@pytest.fixture
def proxy(gcs_server: str) -> Iterator[FaultyProxy]:
    """A proxy in front of the storage server, without faults yet."""
    with run_proxy(gcs_server) as running:
        yield running
