"""SavedModels that serve as if they trained come out as good ones, or are refused by name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from redraw.draft.draft import draft_definition
from redraw.errors import (
    CheckpointCorrupt,
    CheckpointError,
    CheckpointNotFound,
    InvalidDefinition,
    OutputExists,
    ValidationFailed,
)
from redraw.heal import heal
from redraw.heal.heal import heal_saved_model
from redraw.heal.scan import scan_files
from redraw.records.results import HealedModel
from redraw.requests import DraftRequest, HealRequest, ScanRequest
from redraw.serving.process import ServingProcess
from redraw.storage.files import digest_tree
from redraw.storage.opening import open_storage
from tests.redraw.heal.saved_models import ALIVE, REFUSED, WIDTH, dropout, good


@pytest.fixture(scope="module")
def serving() -> Iterator[ServingProcess]:
    with ServingProcess() as process:
        yield process


def healed(source: Any, out: Any, **more: Any) -> HealedModel:
    request = {"saved_model": str(source), "out": str(out), **more}
    return heal_saved_model(HealRequest.from_json(request))


@pytest.mark.parametrize("kind", ALIVE)
def test_heal_model_that_trains_answers_as_without_training(
    kind: str, serving: ServingProcess, tmp_path: Path
) -> None:
    answer = ALIVE[kind](tmp_path / "model")
    request = {"x": np.random.default_rng(4).normal(size=(9, WIDTH)).astype(np.float32)}

    record = healed(tmp_path / "model", tmp_path / "good")

    assert (record.healed, record.rows) == (True, 200)
    assert record.replaced["dropout"]
    assert {one.check for one in record.found} >= {"inference-ops"}
    model = serving.load(tmp_path / "good")
    np.testing.assert_allclose(model.answer("serving_default", request)["scores"], answer(request), atol=1e-5)
    # What came out has none of what was wrong, and is left as it is the next time.
    assert not scan_files(ScanRequest.from_json({"uri": str(tmp_path / "good")})).refused
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "model" / "saved_model.pb").read_bytes())
    names = set(saved.meta_graphs[0].signature_def) - {"__saved_model_init_op"}
    assert set(record.signatures) == names


def test_heal_model_that_needs_nothing_copies_it_untouched(tmp_path: Path) -> None:
    good(tmp_path / "model")

    record = healed(tmp_path / "model", tmp_path / "copy")

    assert not record.healed
    assert record.summary.startswith("Nothing had to be changed")
    assert digest_tree(tmp_path / "copy") == digest_tree(tmp_path / "model")
    with pytest.raises(OutputExists):
        healed(tmp_path / "model", tmp_path / "copy")


@pytest.mark.parametrize("kind", REFUSED)
def test_heal_model_that_cannot_be_healed_says_why_and_writes_nothing(kind: str, tmp_path: Path) -> None:
    make, reason = REFUSED[kind]
    make(tmp_path / "model")

    with pytest.raises(InvalidDefinition, match=reason) as refused:
        healed(tmp_path / "model", tmp_path / "out")

    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_heal_in_a_bucket_reads_and_writes_there(bucket: str, tmp_path: Path) -> None:
    dropout(tmp_path / "model")
    storage = open_storage(bucket)
    for path in (tmp_path / "model").rglob("*"):
        if path.is_file():
            storage.create(f"old/{path.relative_to(tmp_path / 'model').as_posix()}", path)

    record = healed(f"{bucket}/old", f"{bucket}/good")

    assert record.healed
    assert not scan_files(ScanRequest.from_json({"uri": f"{bucket}/good"})).refused
    found = scan_files(ScanRequest.from_json({"uri": f"{bucket}/old"}))
    assert [one.check for one in found.refused] == ["inference-ops"]


def test_heal_whose_result_differs_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The untouched model has the last word: here another checkpoint's weights are under the good one."""
    dropout(tmp_path / "model")
    shutil.copytree(tmp_path / "model", tmp_path / "other")
    data = tmp_path / "other" / "variables" / "variables.data-00000-of-00001"
    opened = heal.open_checkpoint

    class Swapped:
        """The checkpoint, with a weight's sign changed."""

        def __init__(self, source: Any) -> None:
            self._source = source

        def __getattr__(self, name: str) -> Any:
            return getattr(self._source, name)

        def move(self, key: str, writer: Any, to_key: str) -> None:
            value = self._source.read_array(key)
            writer.add_array(to_key, -value if key.startswith("second") else value)

    assert data.exists()
    monkeypatch.setattr(heal, "open_checkpoint", lambda folder: Swapped(opened(folder)))
    with pytest.raises(ValidationFailed, match=r"expected the original model's answers to 200 rows, got"):
        healed(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_heal_of_no_saved_model_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match=r"expected a SavedModel's folder with saved_model\.pb"):
        healed(tmp_path, tmp_path / "out")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"\x12\xff\xff\xff\x0f")
    with pytest.raises(CheckpointCorrupt, match=r"saved_model\.pb"):
        healed(tmp_path / "model", tmp_path / "out")


@pytest.mark.parametrize("tags", [["train"], []])
def test_heal_model_without_the_tag_serve_gets_it(tags: list[str], tmp_path: Path) -> None:
    good(tmp_path / "model")
    file = tmp_path / "model" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    saved.meta_graphs[0].meta_info_def.tags[:] = tags
    file.write_bytes(saved.SerializeToString())

    record = healed(tmp_path / "model", tmp_path / "out")

    assert [finding.check for finding in record.found] == ["loads"]
    made = saved_model_pb2.SavedModel.FromString((tmp_path / "out" / "saved_model.pb").read_bytes())
    assert list(made.meta_graphs[0].meta_info_def.tags) == ["serve"]


@pytest.mark.parametrize("place", ["inner", "variables/inner"])
def test_heal_into_a_saved_model_is_refused(place: str, tmp_path: Path) -> None:
    good(tmp_path / "model")
    before = digest_tree(tmp_path / "model")

    with pytest.raises(OutputExists, match="expected a path outside of the SavedModel"):
        healed(tmp_path / "model", tmp_path / "model" / place)
    with pytest.raises(OutputExists, match="expected a path outside of the SavedModel"):
        draft_definition(
            DraftRequest.from_json(
                {"source": str(tmp_path / "model"), "out": str(tmp_path / "model" / place)}
            )
        )
    assert digest_tree(tmp_path / "model") == before


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_heal_model_without_its_variables_is_refused(damage: str, tmp_path: Path) -> None:
    good(tmp_path / "model")
    data = next((tmp_path / "model" / "variables").glob("*.data*"))
    if damage == "cut":
        data.write_bytes(data.read_bytes()[:10])
    else:
        shutil.rmtree(data.parent)

    with pytest.raises(CheckpointError, match="model"):
        healed(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()
