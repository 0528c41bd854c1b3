"""The embedded default: the whole path on one machine, started by one command.

    python -m redraw_airflow.standalone up        start what is not running yet, publish a model, show it
    python -m redraw_airflow.standalone status    list what is running, and where
    python -m redraw_airflow.standalone stop      end exactly what `up` started
    python -m redraw_airflow.standalone clean     stop, and remove the state

A storage server and Airflow's four components run in the background, each in a session of its own, on
loopback, with all their state in one folder. This package uses only Airflow's processes and its REST API.
"""
