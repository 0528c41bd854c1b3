"""Runs a stage like an operator, and prints its time: `run_stage.py STAGE`, with the request on stdin.

The import of Airflow is not counted, because a task's process has imported it before it runs the operator.
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
    start = time.perf_counter()
    process = StageProcess(stage=stage, request=request, gcp_conn_id="google_cloud_default")
    read_record(process.run(), _RECORDS[stage])
    json.dump({"seconds": time.perf_counter() - start}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
