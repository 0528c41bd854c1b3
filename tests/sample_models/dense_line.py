"""A straight line as a Keras layer, which every layout of checkpoints can hold."""

from typing import Any

import keras

from redraw.definition import Mode
from sample_models.line_module import LineDefinition as _Line


class DenseLine(_Line):
    def build(self, mode: Mode) -> Any:
        return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="line")], name="net")
