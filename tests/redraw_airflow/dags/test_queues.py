from __future__ import annotations

import pytest

from redraw_airflow.dags.queues import tensorflow_queue


def test_tensorflow_queue_where_one_is_named_sends_tasks_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_TENSORFLOW_QUEUE", "gpu")

    assert tensorflow_queue() == {"queue": "gpu"}


def test_tensorflow_queue_without_one_leaves_it_to_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDRAW_TENSORFLOW_QUEUE", raising=False)

    assert tensorflow_queue() == {}
