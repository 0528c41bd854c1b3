"""What a DAG can wait for: a checkpoint, a published version, another live version."""

from redraw_airflow.sensors.sensors import CheckpointSensor, LiveVersionSensor, NewVersionSensor

__all__ = ["CheckpointSensor", "LiveVersionSensor", "NewVersionSensor"]
