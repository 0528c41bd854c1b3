"""The trigger forms: the choices of a run by hand, and their defaults.

    fields.py  waiving.py      fields that several forms have
    retraining.py  reexporting.py  publishing.py      a module for the forms of each kind of DAG

The defaults come from the environment of the DAG processor, so that a scheduled run, the form and an API call
without `conf` all do the same. Airflow checks each value against its field's schema before it makes a run. No
schema can compare two fields, so a form's `check_…` does that before the first task starts.
"""

from redraw_airflow.dags.forms.fields import check_fields as check_fields
from redraw_airflow.dags.forms.fields import checked_by as checked_by
from redraw_airflow.dags.forms.publishing import mark_form as mark_form
from redraw_airflow.dags.forms.publishing import prune_form as prune_form
from redraw_airflow.dags.forms.publishing import roll_back_form as roll_back_form
from redraw_airflow.dags.forms.reexporting import asks_for_approval as asks_for_approval
from redraw_airflow.dags.forms.reexporting import check_reexport_choices as check_reexport_choices
from redraw_airflow.dags.forms.reexporting import reexport_form as reexport_form
from redraw_airflow.dags.forms.retraining import check_publication as check_publication
from redraw_airflow.dags.forms.retraining import check_retrain_choices as check_retrain_choices
from redraw_airflow.dags.forms.retraining import retrain_form as retrain_form
from redraw_airflow.dags.forms.retraining import skip_without_servers as skip_without_servers
from redraw_airflow.dags.forms.retraining import validate_form as validate_form
