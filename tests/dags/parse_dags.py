"""Parses the DAG folder as the DAG processor does, and writes what it found: `parse_dags.py ANSWER`."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any


def main(answer: str) -> None:
    """Write import errors, DAGs and the modules that parsing loaded."""
    import airflow.sdk  # noqa: F401 - every DAG processor has it

    # Some wheels put an empty google.cloud there at start-up.
    before = set(sys.modules)
    folder = os.environ["AIRFLOW__CORE__DAGS_FOLDER"]
    sys.path.insert(0, folder)
    warnings.simplefilter("error")
    for path in sorted(Path(folder).glob("*.py")):
        __import__(path.stem)
    loaded = sorted(set(sys.modules) - before)
    warnings.simplefilter("default")
    found = {"loaded": loaded, **bag(folder)}
    Path(answer).write_text(json.dumps(found))


def bag(folder: str) -> dict[str, Any]:
    """What Airflow's own loader makes of the folder, and what it stores of it."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    dags = DagBag(folder)
    return {
        "import_errors": dags.import_errors,
        "dags": {name: DagSerialization.to_dict(dag)["dag"] for name, dag in dags.dags.items()},
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
