from __future__ import annotations

import tomllib

from packaging.requirements import Requirement
from packaging.version import Version

from tests.paths import ROOT
from tests.versions.installed import LOCKS, locked_airflow


def test_metadata_names_the_range_of_airflow_that_is_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = map(Requirement, project["optional-dependencies"]["airflow"])
    (airflow,) = (requirement for requirement in wanted if requirement.name == "apache-airflow")
    bounds = {bound.operator: Version(bound.version) for bound in airflow.specifier}
    newest = locked_airflow(LOCKS["newest"])

    assert bounds[">="] == locked_airflow(LOCKS["oldest"])
    assert bounds["<"] == Version(f"{newest.major}.{newest.minor + 1}")
