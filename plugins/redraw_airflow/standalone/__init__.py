"""The embedded default: the whole path on one machine, started by one command.

    python -m redraw_airflow.standalone up        start what does not run yet, publish a model, show it
    python -m redraw_airflow.standalone status    what runs, and where
    python -m redraw_airflow.standalone stop      end exactly what `up` started
    python -m redraw_airflow.standalone clean     the same, and remove its state

A storage server and Airflow's four components run in the background, each in a
session of its own, on loopback, with all their state in one folder. Airflow is known
here only as a neighbour would know it: by its processes and its REST API.
"""
