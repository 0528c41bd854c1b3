"""The embedded default: the whole path on one machine, started by one command.

    python -m redraw.embedded up        start what does not run yet, publish a model, show it
    python -m redraw.embedded status    what runs, and where
    python -m redraw.embedded stop      end exactly what `up` started
    python -m redraw.embedded clean     the same, and remove its state

A storage server and Airflow's four components run in the background, each in a
session of its own, on loopback, with all their state in one folder. Airflow is known
here only as a neighbour would know it: by its processes and its REST API.
"""
