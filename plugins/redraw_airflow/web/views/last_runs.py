"""The last run of each model, as Airflow's database has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from redraw.records.times import format_time
from redraw_airflow.settings import PUBLISHING_DAGS
from redraw_airflow.web.compat import DagRun

__all__ = ["LastRun", "find_last_runs"]


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """A run of a DAG that publishes.

    Attributes:
        dag_id: The DAG's.
        run_id: Airflow's.
        state: `queued`, `running`, `success` or `failed`.
        started_at: In UTC, `YYYY-MM-DDTHH:MM:SSZ`; None before it starts.
    """

    dag_id: str
    run_id: str
    state: str
    started_at: str | None


def find_last_runs(session: Session, models: Sequence[str]) -> Mapping[str, LastRun]:
    """Find each model's newest run.

    Args:
        session: Of Airflow's database.
        models: The models' names.

    Returns:
        Model to run, without the models that never had one. A run without a model in its
        configuration is that of the only one.
    """
    found = {model: _last_run(session, model, len(models) == 1) for model in models}
    return {model: run for model, run in found.items() if run is not None}


def _last_run(session: Session, model: str, is_default: bool) -> LastRun | None:
    named = DagRun.conf["model"].as_string()
    query = (
        select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date)
        .where(DagRun.dag_id.in_(PUBLISHING_DAGS.read()))
        .where(or_(named == model, named.is_(None)) if is_default else named == model)
        .order_by(DagRun.run_after.desc(), DagRun.id.desc())
        .limit(1)
    )
    row = session.execute(query).first()
    if row is None:
        return None
    started = format_time(row.start_date.timestamp()) if row.start_date else None
    return LastRun(dag_id=row.dag_id, run_id=row.run_id, state=str(row.state), started_at=started)
