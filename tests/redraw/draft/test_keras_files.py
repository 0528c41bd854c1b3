"""Definitions drafted from the configuration of Keras files answer as the file's own framework does."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.draft.draft import draft_definition
from redraw.errors import (
    CheckpointCorrupt,
    CheckpointNotFound,
    InvalidDefinition,
    InvalidRequest,
    OutputExists,
    ValidationFailed,
)
from redraw.export.export import export_model
from redraw.export.prepared import PreparedModel
from redraw.records import ValidationReport
from redraw.requests import DraftRequest, ExportRequest, ValidateRequest
from redraw.serving.process import ServingProcess
from redraw.storage.opening import open_storage
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.recording.keras_file import KerasFile
from redraw.validate.validator import validate_model

_REQUEST = {
    "words": np.random.default_rng(1).integers(0, 11, (6, 5)).astype(np.int32),
    "more": np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32),
}


def network(framework: Any) -> Any:
    """What the two Keras compute otherwise is in it: hard sigmoid and leaky ReLU."""
    layers = framework.layers
    words = framework.Input((5,), name="words", dtype="int32")
    more = framework.Input((4,), name="more")
    inner = framework.Sequential([framework.Input((4,)), layers.Dense(3), layers.LeakyReLU()])
    read = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.Embedding(11, 4)(words))
    read = layers.Dropout(0.3)(layers.GRU(4)(read))
    joined = layers.BatchNormalization()(layers.Concatenate()([read, inner(more)]))
    made = framework.Model(
        [words, more],
        [layers.Dense(3, "hard_sigmoid", name="a")(joined), layers.Dense(2, "softmax", name="b")(joined)],
    )
    for weight in made.weights:
        value = np.random.default_rng(weight.shape.num_elements() if framework is tf_keras else 3)
        weight.assign(value.uniform(0.1, 1.0, weight.shape))
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    folder = tmp_path_factory.mktemp("keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {".keras": network(keras), ".h5": network(tf_keras)}
        for ending, made in found.items():
            made.save(folder / f"model{ending}")
        found["saved_model"] = found[".h5"]
        found[".h5"].save(folder / "saved_model", signatures={})
    return {
        ending: (folder / (f"model{ending}" if "." in ending else ending), made)
        for ending, made in found.items()
    }


@pytest.fixture(scope="module")
def serving() -> Iterator[ServingProcess]:
    with ServingProcess() as process:
        yield process


def drafted(source: Any, out: Path, **more: Any) -> Any:
    """The class that was drafted, imported from its folder."""
    name = f"drafted_{abs(hash(str(out)))}"
    request = {"source": str(source), "name": name, "out": str(out), **more}
    record = draft_definition(DraftRequest.from_json(request))
    spec = importlib.util.spec_from_file_location(name, record.path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    definition = next(found for key, found in vars(module).items() if key.startswith("Drafted"))()
    definition.check()
    return definition


@pytest.mark.parametrize("ending", [".keras", ".h5", "saved_model"])
def test_draft_of_a_full_model_answers_as_its_framework(
    ending: str, files: dict[str, tuple[Path, Any]], serving: ServingProcess, tmp_path: Path
) -> None:
    path, made = files[ending]

    definition = drafted(path, tmp_path / "package")
    (tmp_path / "export").mkdir()
    PreparedModel(definition).write(open_checkpoint(path), "raw", tmp_path / "export", allow_non_finite=False)

    assert list(definition.signatures["serving_default"].inputs) == ["words", "more"]
    answers = serving.load(tmp_path / "export").answer("serving_default", _REQUEST)
    wanted = made([_REQUEST["words"], _REQUEST["more"]], training=False)
    for name, want in zip(("a", "b"), wanted, strict=True):
        np.testing.assert_allclose(answers[name], np.asarray(want), atol=1e-5)
    assert definition.stored["keras_2"] == (ending != ".keras")


def test_draft_from_a_bucket_keeps_the_configuration_there(
    files: dict[str, tuple[Path, Any]], bucket: str, tmp_path: Path
) -> None:
    open_storage(bucket).create("old/model.keras", files[".keras"][0])

    definition = drafted(f"{bucket}/old/model.keras", tmp_path, keep_graph=f"{bucket}/kept")

    assert definition.configuration.startswith(f"{bucket}/kept/")
    assert len(definition.build(None).layers) == len(files[".keras"][1].layers)
    for field, value, error in (
        ("configuration", f"{bucket}/none.json", CheckpointNotFound),
        ("digest", "0" * 64, CheckpointCorrupt),
    ):
        with pytest.raises(error, match="expected"):
            type("Other", (type(definition),), {field: value})().stored  # noqa: B018


def changed(path: Path, target: Path, change: Any) -> Path:
    """A `.keras` file with another configuration."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w") as other:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            other.writestr(name, content)
    return target


def layer(config: Any, kind: str) -> Any:
    return next(one for one in config["config"]["layers"] if one["class_name"] == kind)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: layer(c, "Dropout").update(class_name="Lambda"), "Lambda"),
        (lambda c: layer(c, "Dropout").update(class_name="Ours", module="ours.layers"), "Ours"),
        (lambda c: layer(c, "Dropout").update(class_name="TFSMLayer"), "TFSMLayer"),
        (lambda c: layer(c, "Dropout").update(module="keras.utils", class_name="get_file"), "get_file"),
        (lambda c: layer(c, "Dropout")["config"].update(vocabulary="/etc/passwd"), "/etc/passwd"),
        (lambda c: layer(c, "Dropout").update(class_name="NoSuchLayer"), "NoSuchLayer"),
        (lambda c: layer(c, "Dropout")["config"].update(rate=-3), "could not be deserialized"),
    ],
    ids=["lambda", "foreign", "saved model", "download", "file", "unknown", "setting"],
)
def test_draft_of_what_keras_does_not_have_names_it(
    change: Any, message: str, files: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    source = changed(files[".keras"][0], tmp_path / "changed.keras", change)

    with pytest.raises(InvalidDefinition, match=message) as refused:
        drafted(source, tmp_path / "package")

    assert "\n" not in str(refused.value)
    assert not (tmp_path / "package").exists()


def test_draft_of_a_keras_2_file_with_a_lambda_names_it(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = tf_keras.Input((2,))
        tf_keras.Model(x, tf_keras.layers.Lambda(lambda y: y + 1)(x)).save(tmp_path / "code.h5")
        tf_keras.Model(x, tf.abs(x)).save(tmp_path / "function.h5")

    for name, kind in (("code.h5", "Lambda"), ("function.h5", "TFOpLambda")):
        with pytest.raises(InvalidDefinition, match=kind):
            drafted(tmp_path / name, tmp_path / "package")


def test_draft_of_weights_alone_damaged_files_or_without_a_place_is_one_clear_line(
    files: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    path, made = files[".keras"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_weights(tmp_path / "only.weights.h5")
    with pytest.raises(CheckpointNotFound, match="got only weights"):
        drafted(tmp_path / "only.weights.h5", tmp_path / "package")
    with pytest.raises(InvalidRequest, match="--out PACKAGE or --keep-graph"):
        draft_definition(DraftRequest.from_json({"source": str(path)}))
    for ending in (".keras", ".h5"):
        shutil.copyfile(files[ending][0], tmp_path / f"cut{ending}")
        with (tmp_path / f"cut{ending}").open("r+b") as file:
            file.truncate(2000)
        with pytest.raises(CheckpointCorrupt):
            drafted(tmp_path / f"cut{ending}", tmp_path / "package")


def test_draft_leaves_a_file_that_has_the_name_of_the_configuration(
    files: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    request = {"source": str(files[".keras"][0]), "name": "net", "out": str(tmp_path)}
    (tmp_path / "net.json").write_text("mine")
    with pytest.raises(OutputExists, match=r"net\.json: this file already exists"):
        draft_definition(DraftRequest.from_json(request))
    assert [path.name for path in tmp_path.iterdir()] == ["net.json"]
    assert (tmp_path / "net.json").read_text() == "mine"


@pytest.fixture
def validated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ValidationReport]:
    """Drafts a file as a model of a package, exports and validates it; `alter` changes the configuration."""
    package = tmp_path / f"kept_{tmp_path.name}"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", package.name)

    def validate(source: Path, alter: Callable[[str], str] = str) -> ValidationReport:
        draft_definition(DraftRequest.from_json({"source": str(source), "name": "net", "out": str(package)}))
        (stored,) = package.glob("*.json")
        altered = alter(stored.read_text())
        if altered != stored.read_text():
            module = package / "net.py"
            digests = (hashlib.sha256(text.encode()).hexdigest() for text in (stored.read_text(), altered))
            old, new = digests
            stored.write_text(altered)
            module.write_text(module.read_text().replace(old, new))
        export_model(
            ExportRequest.from_json({"model": "net", "checkpoint": str(source), "out": str(tmp_path / "out")})
        )
        return validate_model(
            ValidateRequest.from_json(
                {
                    "model": "net",
                    "saved_model": str(tmp_path / "out"),
                    "report": str(tmp_path / "report.json"),
                }
            )
        )

    return validate


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_validate_draft_of_a_keras_file_passes_by_what_keras_itself_answers(
    ending: str, files: dict[str, tuple[Path, Any]], validated: Callable[..., ValidationReport]
) -> None:
    report = validated(files[ending][0])

    checks = {check.name: check for check in report.checks}
    assert report.passed
    assert checks["recorded-answers"].status == "passed"
    assert f"model{ending}, loaded by Keras" in checks["recorded-answers"].looked_at
    assert "the check recorded-answers compares with the original graph" in checks["held-out-examples"].waived


def test_validate_draft_whose_configuration_was_changed_names_what_answers_otherwise(
    files: dict[str, tuple[Path, Any]], validated: Callable[..., ValidationReport]
) -> None:
    with pytest.raises(ValidationFailed) as failed:
        validated(files[".keras"][0], lambda text: text.replace('"hard_sigmoid"', '"sigmoid"'))

    assert "recorded-answers" in str(failed.value)
    assert "file-configuration" in str(failed.value)


def test_ask_keras_file_that_brings_code_loads_nothing(
    files: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    definition = drafted(files[".keras"][0], tmp_path / "package")
    bent = changed(
        files[".keras"][0],
        tmp_path / "bent.keras",
        lambda c: layer(c, "Dropout").update(class_name="Lambda"),
    )

    with pytest.raises(CannotRun, match=r"bent\.keras is not loaded, because it needs custom code: 'Lambda'"):
        KerasFile(definition, bent)
