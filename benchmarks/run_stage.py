"""Runs a stage as an operator does, and prints what that took: `run_stage.py STAGE`, request on stdin.

Importing Airflow is not counted: the process of a task has done that before it gets to its
operator.
"""

from __future__ import annotations

import json
import sys
import time

from redraw.records import ReleaseList
from redraw.records.results import CheckpointDescription
from redraw_airflow.stages.outcome import read_record
from redraw_airflow.stages.process import StageProcess

_RECORDS = {"inspect": CheckpointDescription, "releases": ReleaseList}


def main(stage: str) -> None:
    """Run it once."""
    request = json.load(sys.stdin)
    started = time.perf_counter()
    process = StageProcess(stage=stage, request=request, gcp_conn_id="google_cloud_default")
    read_record(process.run(), _RECORDS[stage])
    json.dump({"seconds": time.perf_counter() - started}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
