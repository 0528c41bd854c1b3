from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import airflow
import pytest
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG
from airflow.sdk.log import mask_secret
from airflow.serialization.helpers import serialize_template_field

from redraw_airflow.compat import airflow_configuration, dag_param, mask_secrets, rendered_name, was_killed


@pytest.fixture
def pod() -> KubernetesPodOperator:
    return KubernetesPodOperator(
        task_id="stage", name="Redraw_Train", image="redraw", random_name_suffix=False
    )


def test_airflow_configuration_reads_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__REDRAW__MODEL_BUCKET", "gs://models")
    assert airflow_configuration().get("redraw", "model_bucket") == "gs://models"
    assert airflow_configuration().get("redraw", "no_such_option", fallback=None) is None


def test_mask_secrets_leaves_what_is_no_secret() -> None:
    mask_secret("geheim-of-a-test")
    assert mask_secrets("<a> & geheim-of-a-test {b}") == "<a> & *** {b}"


def test_rendered_name_is_one_that_kubernetes_takes(pod: KubernetesPodOperator) -> None:
    assert rendered_name(pod) == "redraw-train"


def test_was_killed_once_the_task_was_stopped(pod: KubernetesPodOperator) -> None:
    assert not was_killed(pod)
    pod.on_kill()
    assert was_killed(pod)


@pytest.mark.parametrize("release", ["3.2.0", "3.2.1", "3.2.2", airflow.__version__])
def test_dag_param_is_stored_as_json_and_gives_the_value(
    release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow, "__version__", release)
    field = dag_param(DAG("train", schedule=None, params={"steps": 3}), "steps")
    by_form: Any = {"dag_run": SimpleNamespace(conf={}), "params": {"steps": 3}}
    by_conf: Any = {"dag_run": SimpleNamespace(conf={"steps": 5}), "params": {"steps": 3}}

    stored = json.loads(json.dumps(serialize_template_field(field, "max_steps")))
    assert (stored["dag_id"], stored["name"]) == ("train", "steps")
    assert (field.resolve(by_form), field.resolve(by_conf)) == (3, 5)


def test_dag_param_before_3_2_2_needs_no_help_of_the_installed_release(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(airflow, "__version__", "3.2.1")
    field = dag_param(DAG("train", schedule=None), "steps")

    assert json.dumps(field.serialize()) == '{"dag_id": "train", "name": "steps"}'
