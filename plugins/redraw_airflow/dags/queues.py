"""Which workers a task runs on, where an executor has queues: configuration, not code."""

from __future__ import annotations

from redraw_airflow.settings import TENSORFLOW_QUEUE


def tensorflow_queue() -> dict[str, str]:
    """The arguments that send an operator's task to the workers that have TensorFlow.

    Returns:
        `queue`, where `REDRAW_TENSORFLOW_QUEUE` names one to the DAG processor; otherwise nothing, and
        the task goes where Airflow's own settings send it.
    """
    queue = TENSORFLOW_QUEUE.read()
    return {"queue": queue} if queue else {}
