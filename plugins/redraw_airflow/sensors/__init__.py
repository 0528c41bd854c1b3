"""Sensors that wait for a checkpoint, a published version or another live version."""

from redraw_airflow.sensors.sensors import CheckpointSensor, LiveVersionSensor, NewVersionSensor

__all__ = ["CheckpointSensor", "LiveVersionSensor", "NewVersionSensor"]
