"""The same network as `foreign_net`, with its normalization named as in training."""

from typing import Any

import keras

from redraw.definition import Mode
from sample_models.foreign_net import ForeignNet as _Foreign


class NamedNet(_Foreign):
    def build(self, mode: Mode) -> Any:
        return keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(3, name="hidden"),
                keras.layers.BatchNormalization(name="norm"),
                keras.layers.Dense(2, name="answer"),
            ],
            name="net",
        )
