from __future__ import annotations

import json
from pathlib import Path

import pytest

from redraw.storage.opening import open_storage
from tests.distributed.fleet import Fleet
from tests.publishing.faults import Fault, Moment
from tests.publishing.proxy import FaultyProxy

pytestmark = pytest.mark.distributed

MODEL = "recommender"
# Records, metrics, reports and the like, and what frames them.
SMALL = 250_000


@pytest.fixture
def fleet(proxy: FaultyProxy, tmp_path: Path) -> Fleet:
    return Fleet(tmp_path, proxy, MODEL)


def demand_least(moved: tuple[int, int], fetched: int, sent: int) -> None:
    """Hold what a stage moved to the least that it can do with, in bytes."""
    # The index of a checkpoint is among the weights' files, and needs not be read as it is written.
    assert fetched - SMALL <= moved[0] <= fetched + SMALL
    assert sent <= moved[1] <= sent + SMALL


def test_run_of_five_stages_that_share_no_disk_publishes_through_the_bucket(
    fleet: Fleet, bucket: str
) -> None:
    work = f"{bucket}/work/run"
    second = "checkpoints/ckpt-500.data"
    killed = fleet.run_killed(
        lambda kill: Fault(action=kill, moment=Moment.SENDING, name=second), "train", out=f"{work}/train"
    )
    run = fleet.run("train", may_delete=True, out=f"{work}/train")
    checkpoint = fleet.run("checkpoint", **{"from": run}, catalogue=f"{bucket}/catalogue", latest=True)
    export = fleet.run("export", checkpoint=checkpoint, out=f"{work}/export")
    report = fleet.run("validate", saved_model=export, report=f"{work}/report.json", against=bucket)
    release = fleet.run(
        "push", may_delete=True, saved_model=export, report=report, bucket=bucket, make_live=True
    )

    assert (run["step"], checkpoint["step"]) == (500, 500)
    lines = open_storage(f"{work}/train").read("metrics.jsonl")
    assert lines is not None
    # The killed one had measured step 500, but not sent its checkpoint: it was trained again from 250 on.
    assert [json.loads(line)["step"] for line in lines.splitlines()] == [250, 500, 500]
    assert release["uri"].startswith(f"{bucket}/{MODEL}/")
    assert {item.size for item in open_storage(release["uri"]).list()} == {
        item.size for item in open_storage(f"{work}/export").list()
    }
    assert [machine.left() for machine in fleet.machines if machine is not killed] == [[]] * 5

    whole, served = checkpoint["size_bytes"], export["size_bytes"]
    demand_least(fleet.moved["train"], whole, whole)
    demand_least(fleet.moved["checkpoint"], whole, whole)
    weights = sum(item.size for item in open_storage(export["uri"]).list("variables/"))
    demand_least(fleet.moved["export"], weights, served)
    # The checkpoint whole, for TensorFlow to restore it, and the ranges of it that are compared bit by bit.
    demand_least(fleet.moved["validate"], served + whole + weights, 0)
    # Bucket to bucket, by the service itself.
    demand_least(fleet.moved["push"], 0, 0)
