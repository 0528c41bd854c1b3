from __future__ import annotations

import builtins
from typing import Any

import pytest
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

from redraw_airflow.compat import airflow_configuration, rendered_name, was_killed


@pytest.fixture
def pod() -> KubernetesPodOperator:
    return KubernetesPodOperator(
        task_id="stage", name="Redraw_Train", image="redraw", random_name_suffix=False
    )


def test_airflow_configuration_reads_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__REDRAW__MODEL_BUCKET", "gs://models")
    assert airflow_configuration().get("redraw", "model_bucket") == "gs://models"
    assert airflow_configuration().get("redraw", "no_such_option", fallback=None) is None


def test_airflow_configuration_without_that_of_the_sdk_is_that_of_the_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without_sdk_configuration(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "airflow.sdk.configuration":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_sdk_configuration)
    configuration = airflow_configuration()
    monkeypatch.undo()
    from airflow.configuration import conf

    assert configuration is conf


def test_rendered_name_is_one_that_kubernetes_takes(pod: KubernetesPodOperator) -> None:
    assert rendered_name(pod) == "redraw-train"


def test_was_killed_once_the_task_was_stopped(pod: KubernetesPodOperator) -> None:
    assert not was_killed(pod)
    pod.on_kill()
    assert was_killed(pod)
