"""The trigger forms: what a run by hand may choose, and what it chooses if it says nothing.

    fields.py  waiving.py      what several forms ask
    retraining.py  reexporting.py  publishing.py      a module for the forms of each kind of DAG

The defaults come from the environment of the DAG processor, so that the scheduled run,
the form and a call of the API without `conf` all do the same. Airflow holds each value to its
own field's schema before there is a run. What two fields say of each other no schema can tell:
a form's `check_…` looks at it before the first task does anything.
"""

from __future__ import annotations

from redraw_airflow.dags.forms.fields import check_fields, checked_by
from redraw_airflow.dags.forms.publishing import mark_form, prune_form, roll_back_form
from redraw_airflow.dags.forms.reexporting import asks_for_approval, check_reexport_choices, reexport_form
from redraw_airflow.dags.forms.retraining import (
    check_publication,
    check_retrain_choices,
    retrain_form,
    skip_without_servers,
    validate_form,
)

__all__ = [
    "asks_for_approval",
    "check_fields",
    "check_publication",
    "check_reexport_choices",
    "check_retrain_choices",
    "checked_by",
    "mark_form",
    "prune_form",
    "reexport_form",
    "retrain_form",
    "roll_back_form",
    "skip_without_servers",
    "validate_form",
]
