"""What a training's process does."""

from __future__ import annotations

import tensorflow as tf

from redraw.__main__ import main


def train(replicas: bool, *flags: str) -> int:
    """Train, on two devices if there shall be replicas."""
    if replicas:
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
    status = main(["train", *flags])
    assert not replicas or tf.config.list_logical_devices("CPU")[1:]
    return status
