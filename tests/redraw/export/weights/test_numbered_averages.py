"""Averages that a `.keras` file knows only by numbers, checked against what Keras itself restores."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.errors import CheckpointMismatch
from redraw.export.graph.drawn import DrawnGraph
from redraw.export.graph.places import find_places
from redraw.export.weights.numbered_averages import find_numbered_averages
from redraw.networks.modules import weights_by_name
from redraw.requests import ExportRequest
from tests.paths import TESTS

SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9)
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: keras.optimizers.SGD(use_ema=True),
    "SGD_with_momentum": lambda: keras.optimizers.SGD(momentum=0.9, use_ema=True),
    "Adam": lambda: keras.optimizers.Adam(use_ema=True),
    "Adam_with_a_schedule": lambda: keras.optimizers.Adam(SCHEDULE, amsgrad=True, use_ema=True),
    "AdamW": lambda: keras.optimizers.AdamW(use_ema=True),
    "RMSprop": lambda: keras.optimizers.RMSprop(centered=True, momentum=0.9, use_ema=True),
    "Adagrad": lambda: keras.optimizers.Adagrad(use_ema=True),
    "Adadelta": lambda: keras.optimizers.Adadelta(use_ema=True),
    "Adafactor": lambda: keras.optimizers.Adafactor(use_ema=True),
    "Adamax": lambda: keras.optimizers.Adamax(use_ema=True),
    "Nadam": lambda: keras.optimizers.Nadam(use_ema=True),
    "Ftrl": lambda: keras.optimizers.Ftrl(use_ema=True),
    "Lion": lambda: keras.optimizers.Lion(use_ema=True),
    "Lamb": lambda: keras.optimizers.Lamb(use_ema=True),
}


def build(*, order: tuple[str, ...] = ("b", "a"), frozen: str = "") -> keras.Model:
    """A nested model with layers of one size, so that shapes tell nothing apart."""
    keras.backend.clear_session(free_memory=False)
    x = keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="within")], name="inner")
    y = keras.layers.BatchNormalization(name="norm")(inner(x))
    for name in order:
        y = keras.layers.Dense(3, name=name)(y)
    model = keras.Model(x, keras.layers.Dropout(0.5)(y), name="net")
    if frozen:
        model.get_layer(frozen).trainable = False
    return model


def drawn(model: keras.Model) -> DrawnGraph:
    places = find_places(model, weights_by_name(model))
    return DrawnGraph(meta_graph=None, variables=(), places=places)


def save(model: keras.Model, optimizer: Any, path: Path) -> Path:
    """Save a model whose optimizer's variables each have a value of their own."""
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    for number, variable in enumerate(optimizer.variables[1:]):
        variable.assign(np.full(variable.shape, number + 1, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of NumPy 2
        model.save(path)
    return path


def found_values(path: Path, network: keras.Model) -> dict[str, float]:
    source = open_checkpoint(path)
    averages = find_numbered_averages(drawn(network), source)
    return {key: float(source.read_array(average).flat[0]) for key, average in averages.items()}


def restored_values(path: Path) -> dict[str, float]:
    """The averages as Keras restores them, by the weights' keys in the file."""
    model = keras.models.load_model(path)
    places = find_places(model, weights_by_name(model)).in_keras_files
    averages = model.optimizer._model_variables_moving_average
    pairs = zip(model.trainable_variables, averages, strict=True)
    return {places[weight.path][0]: float(np.asarray(average).flat[0]) for weight, average in pairs}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_find_numbered_averages_of_every_optimizer_gives_what_keras_restores(
    name: str, tmp_path: Path
) -> None:
    path = save(build(), OPTIMIZERS[name](), tmp_path / "model.keras")
    expected = restored_values(path)
    assert len(set(expected.values())) == 8
    assert found_values(path, build()) == expected


def rewrite_config(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    with zipfile.ZipFile(path) as archive:
        parts: Mapping[str, bytes] = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    changed = path.with_name("changed.keras")
    with zipfile.ZipFile(changed, "w") as archive:
        for name, content in {**parts, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, content)
    return changed


def of_another_optimizer(config: dict[str, Any]) -> None:
    config["compile_config"]["optimizer"]["class_name"] = "RMSprop"


def of_another_module(config: dict[str, Any]) -> None:
    config["compile_config"]["optimizer"]["module"] = "theirs"


def of_a_registered_class(config: dict[str, Any]) -> None:
    config["compile_config"]["optimizer"]["registered_name"] = "theirs>Adam"


def without_averages(config: dict[str, Any]) -> None:
    config["compile_config"]["optimizer"]["config"]["use_ema"] = False


def with_gradients_between(config: dict[str, Any]) -> None:
    config["compile_config"]["optimizer"]["config"]["gradient_accumulation_steps"] = 2


def of_a_later_keras(config: dict[str, Any]) -> None:
    config["compile_config"]["optimizer"]["config"]["colour"] = "red"


def never_compiled(config: dict[str, Any]) -> None:
    del config["compile_config"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(build(), keras.optimizers.Adam(use_ema=True), tmp_path_factory.mktemp("ema") / "model.keras")


@pytest.mark.parametrize(
    "change",
    [
        of_another_optimizer,
        of_another_module,
        of_a_registered_class,
        without_averages,
        with_gradients_between,
        of_a_later_keras,
        never_compiled,
    ],
)
def test_find_numbered_averages_where_the_configuration_leaves_a_doubt_finds_none(
    change: Callable[[dict[str, Any]], None], saved: Path
) -> None:
    assert len(found_values(saved, build())) == 8
    assert found_values(rewrite_config(saved, change), build()) == {}


def test_find_numbered_averages_over_another_network_finds_none(saved: Path, tmp_path: Path) -> None:
    assert found_values(saved, build(order=("a", "b"))) == {}
    assert found_values(saved, build(order=("b",))) == {}
    assert found_values(saved, build(frozen="a")) == {}
    frozen = save(build(frozen="a"), keras.optimizers.Adam(use_ema=True), tmp_path / "frozen.keras")
    assert found_values(frozen, build()) == {}
    assert found_values(frozen, build(frozen="a")) == {}


def test_export_averages_of_a_keras_file_serves_those_that_keras_restores(
    keras_3_files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redraw.checkpoint.bundle.reader import TensorBundle
    from redraw.export.export import export_model

    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")
    request = ExportRequest(
        model="named_net",
        checkpoint=str(keras_3_files.folder / "model.keras"),
        out=str(tmp_path / "out"),
        weights="average",
    )
    exported = export_model(request)
    assert exported.checkpoint.averages
    ledger = json.loads(Path(exported.ledger_uri).read_text())
    assert ledger["found_by"].startswith("moving average of layer's name")
    averaged = {row["variable"] for row in ledger["served"] if row["key"].startswith("optimizer/vars/")}
    assert averaged == set(keras_3_files.averages)
    bundle = TensorBundle(Path(exported.uri) / "variables" / "variables")
    served = [bundle.read_array(key).tobytes() for key, e in bundle.entries.items() if e.dtype == "float32"]
    expected = {**keras_3_files.values, **keras_3_files.averages}
    assert sorted(served) == sorted(value.tobytes() for value in expected.values())


def test_export_averages_of_a_weights_file_is_refused(
    keras_3_files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redraw.export.export import export_model

    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")
    path = str(keras_3_files.folder / "model.weights.h5")
    with pytest.raises(CheckpointMismatch, match="expected average weights"):
        export_model(
            ExportRequest(model="named_net", checkpoint=path, out=str(tmp_path / "out"), weights="average")
        )
