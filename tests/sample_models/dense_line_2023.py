"""The straight line as it was drawn at first: the layer had another name."""

from typing import Any

import keras

from redraw.definition import Applies, Mode
from sample_models.line_module import LineDefinition as _Line


class DenseLine2023(_Line):
    applies_to = Applies(model="dense_line", until="2024-01-01")

    def build(self, mode: Mode) -> Any:
        return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="stroke")], name="net")
