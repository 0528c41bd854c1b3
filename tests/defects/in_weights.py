"""Defects of values: whole for every checksum, and not the checkpoint's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from redraw.definition.registry import load_definition
from redraw.records import ExportedModel
from tests.defects.bases import Bases
from tests.defects.planting import (
    Defect,
    Specimen,
    copy_of,
    edit_weights,
    planted,
    planted_in_weights,
    sealed,
)

__all__ = ["DEFECTS"]

Values = dict[str, np.ndarray]


@planted_in_weights("digits_graph", "weights-source")
def weight_left_at_its_initial_value(values: Values) -> None:
    """The statistics of a layer were restored nowhere: everything looks right but the answers."""
    values["conv_2/moving_variance"] = np.ones_like(values["conv_2/moving_variance"])


@planted_in_weights("digits_graph", "weights-source")
def bias_left_at_zero(values: Values) -> None:
    """A bias of one layer is missing: a loss of accuracy too small for anybody to see."""
    values["dense/bias"] = np.zeros_like(values["dense/bias"])


@planted_in_weights("digits_graph", "weights-source")
def two_weights_of_equal_shape_swapped(values: Values) -> None:
    """Scale and offset of a normalization changed places."""
    _swap(values)


@planted_in_weights("mnist", "weights-source")
def cast_to_float16_on_the_way(values: Values) -> None:
    """Each weight is rounded: right for most requests, wrong for those that matter."""
    for key, value in values.items():
        if value.dtype == np.float32:
            values[key] = value.astype(np.float16).astype(np.float32)


@planted_in_weights("recommender", "weights-source")
def embedding_shifted_by_one_row(values: Values) -> None:
    """Each user gets the neighbour's recommendations."""
    key = _largest(values)
    values[key] = np.roll(values[key], 1, axis=0)


@planted_in_weights("mnist", "weights-source")
def last_bit_of_one_weight_changed(values: Values) -> None:
    """Harmless here; a tool that changes weights silently will not stop at the last bit."""
    value = values[_largest(values)].reshape(-1)
    value.view(np.uint32)[7] ^= 1


@planted_in_weights("text_classifier", "weights-source")
def weights_pruned_silently(values: Values) -> None:
    """A tool on the way sets small weights to zero."""
    key = _largest(values)
    value = values[key].copy()
    value[np.abs(value) < np.quantile(np.abs(value), 0.1)] = 0
    values[key] = value


@planted_in_weights("recommender", "finite-weights")
def nan_in_a_weight(values: Values) -> None:
    """Each user whose row it is gets NaN, and the caller's ranking breaks."""
    values[_largest(values)][17, 3] = np.nan


@planted_in_weights("mnist", "finite-weights")
def infinite_weight(values: Values) -> None:
    """A class gets the probability NaN for each image that is not black in one pixel."""
    values[_largest(values)].reshape(-1)[11] = np.inf


@planted_in_weights("mnist", "single-copy")
def weights_stored_twice(values: Values) -> None:
    """Twice the bytes to upload, to store and to load, at each release."""
    for key, value in list(values.items()):
        if key.startswith("weights/"):
            values[f"network/{key}"] = value


@planted_in_weights("digits_graph", "single-copy")
def slot_variables_left_in(values: Values) -> None:
    """Adam's slots make it three times as large as what it serves."""
    for key, value in list(values.items()):
        values[f"{key}/Adam"] = np.zeros_like(value)


@planted("digits_graph", "weights-source")
def raw_weights_instead_of_averaged(bases: Bases) -> Specimen:
    """The averages that were evaluated are not what is served."""
    raw = bases.export("digits_graph", None, "raw")
    return _specimen(replace(raw, weights="average"))


@planted("mnist", "weights-source")
def averaged_weights_instead_of_raw(bases: Bases) -> Specimen:
    """Somebody compares two releases of raw weights, and one is none."""
    return _specimen(replace(bases.export("mnist"), weights="raw"))


@planted("mnist", "weights-source")
def weights_of_another_checkpoint(bases: Bases) -> Specimen:
    """A cached file of an earlier step is published under the new step's metrics."""
    earlier = bases.export("mnist", 200)
    return _specimen(replace(earlier, checkpoint=bases.checkpoint("mnist")))


@planted("digits_graph", "golden-examples")
def swap_that_the_ledger_admits(bases: Bases) -> Specimen:
    """The export found two weights wrongly, and says so: file and ledger agree, and the model is wrong."""
    exported = copy_of(bases.export("digits_graph"), bases.new_folder("defect"))
    edit_weights(Path(exported.uri), _swap)
    ledger_path = Path(exported.ledger_uri)
    ledger = json.loads(ledger_path.read_bytes())
    rows = {row["variable"]: row for row in ledger["served"]}
    one, other = rows["conv_1/beta"], rows["conv_1/gamma"]
    one["key"], other["key"] = other["key"], one["key"]
    ledger_path.write_text(json.dumps(ledger))
    return _specimen(sealed(exported))


def _swap(values: Values) -> None:
    values["conv_1/beta"], values["conv_1/gamma"] = values["conv_1/gamma"], values["conv_1/beta"]


def _specimen(exported: ExportedModel) -> Specimen:
    return Specimen(exported=exported, definition=load_definition(exported.model))


def _largest(values: Values) -> str:
    return max((key for key in values if values[key].dtype == np.float32), key=lambda key: values[key].size)


DEFECTS = tuple(value for value in vars().copy().values() if isinstance(value, Defect))
