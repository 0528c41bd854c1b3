"""The queue of the workers that a task runs on, if the executor has queues."""

from __future__ import annotations

from redraw_airflow.settings import TENSORFLOW_QUEUE


def tensorflow_queue() -> dict[str, str]:
    """The arguments that send an operator's task to the workers that have TensorFlow.

    Returns:
        `queue`, if the DAG processor's `REDRAW_TENSORFLOW_QUEUE` names one; otherwise nothing, and Airflow's
        own settings choose the queue.
    """
    queue = TENSORFLOW_QUEUE.read()
    return {"queue": queue} if queue else {}
