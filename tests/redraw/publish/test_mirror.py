from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from redraw.errors import OutputExists, VerificationFailed
from redraw.publish.bucket.layout import read_release
from redraw.publish.live.set_live import change_live
from redraw.publish.mirror import mirror_versions
from redraw.publish.passport.passport import PASSPORT_FILES
from redraw.publish.push.push import push_model
from redraw.requests import LiveRequest, MirrorRequest
from redraw.storage.files import TreeScan, digest_tree, partial_path, scan_tree
from redraw.storage.opening import open_storage

pytestmark = pytest.mark.usefixtures("gcs_server", "loadable")


def test_mirror_that_verifies_all_finds_damage_that_no_size_and_time_shows(
    bucket: str, exports: list[Any], versions: list[int], tmp_path: Path
) -> None:
    _live(bucket, versions[0])
    _mirror(bucket, tmp_path)
    version = tmp_path / "digits" / str(versions[0])
    graph = version / "saved_model.pb"
    status, content = graph.stat(), graph.read_bytes()
    graph.write_bytes(bytes([content[0] ^ 1]) + content[1:])  # a bad block: same size, same time
    os.utime(graph, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert _mirror(bucket, tmp_path) == {"digits": ((versions[0],), ())}
    assert _mirror(bucket, tmp_path, verify_all=True) == {"digits": ((versions[0],), (versions[0],))}
    assert digest_tree(version) == digest_tree(exports[0].folder)
    assert _mirror(bucket, tmp_path, verify_all=True) == {"digits": ((versions[0],), ())}


# What a server would load from the writer's own folder, by the writer's own code.
_ELSEWHERE = b"""model_config_list { config {
  name: "digits" base_path: "gs://hostile/digits" model_platform: "custom" } }"""


def _mirror(bucket: str, out: Path, **fields: Any) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    report = mirror_versions(MirrorRequest(bucket=bucket, out=str(out), model=("digits", "words"), **fields))
    return {model.model: (model.versions, model.fetched) for model in report.models}


def _config(out: Path) -> ModelServerConfig:
    return text_format.Parse((out / "models.config").read_text(), ModelServerConfig())


def _live(bucket: str, version: int, **fields: Any) -> None:
    change_live(LiveRequest(model="digits", bucket=bucket, set=version, **fields))


@pytest.fixture
def exports(make_export: Any) -> list[Any]:
    """Two exports, the older weights first."""
    return [make_export(trained_at=f"2024-0{month}-01T00:00:00Z") for month in (1, 2)]


@pytest.fixture
def versions(bucket: str, exports: list[Any]) -> list[int]:
    """The same published; none is live."""
    return [push_model(export.request(bucket)).version for export in exports]


def test_mirror_without_a_live_version_writes_a_configuration_that_a_server_takes(
    bucket: str, versions: list[int], tmp_path: Path
) -> None:
    assert _mirror(bucket, tmp_path / "out") == {}

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["models.config"]
    assert _config(tmp_path / "out").WhichOneof("config") == "model_config_list"


def test_mirror_with_a_live_version_has_its_bytes_and_names_its_folder_and_label(
    bucket: str, exports: list[Any], versions: list[int], tmp_path: Path
) -> None:
    old, _ = versions
    _live(bucket, old)

    assert _mirror(bucket, tmp_path) == {"digits": ((old,), (old,))}
    assert _mirror(bucket, tmp_path) == {"digits": ((old,), ())}

    (served,) = _config(tmp_path).model_config_list.config
    assert served.base_path == str(tmp_path / "digits")
    assert dict(served.version_labels) == {"stable": old}
    assert digest_tree(tmp_path / "digits" / str(old)) == digest_tree(exports[0].folder)


def test_mirror_again_reads_a_version_only_if_a_file_was_written_since(
    bucket: str, versions: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noting(folder: Path) -> TreeScan:
        read.append(folder.name)
        return scan_tree(folder)

    _live(bucket, versions[0])
    _mirror(bucket, tmp_path)
    monkeypatch.setattr("redraw.publish.mirror.scan_tree", noting)

    assert _mirror(bucket, tmp_path) == {"digits": ((versions[0],), ())}
    assert read == []
    (tmp_path / "digits" / str(versions[0]) / "saved_model.pb").touch()
    for _ in range(2):  # read once, found as it was, and marked
        assert _mirror(bucket, tmp_path) == {"digits": ((versions[0],), ())}
        assert read == [str(versions[0])]


def test_mirror_after_a_change_keeps_the_version_before_until_the_next_run(
    bucket: str, versions: list[int], tmp_path: Path
) -> None:
    old, new = versions
    _live(bucket, old)
    _mirror(bucket, tmp_path)
    _live(bucket, new)
    interrupted = partial_path(tmp_path / "digits" / "3")
    interrupted.mkdir()

    assert _mirror(bucket, tmp_path) == {"digits": ((new,), (new,))}
    assert {path.name for path in (tmp_path / "digits").iterdir()} == {str(old), str(new), "passport"}

    assert _mirror(bucket, tmp_path) == {"digits": ((new,), ())}
    assert {path.name for path in (tmp_path / "digits").iterdir()} == {str(new), "passport"}
    assert [path.name for path in (tmp_path / "digits" / "passport").iterdir()] == [str(new)]


def test_mirror_into_a_folder_with_other_things_removes_none_of_them(
    bucket: str, versions: list[int], tmp_path: Path
) -> None:
    others = [
        tmp_path / name
        for name in ("digits/1716163515/saved_model.pb", "logs/2026/day.log", "logs/passport/3/scan.pdf")
    ]
    for path in others:
        path.parent.mkdir(parents=True)
        path.write_text("somebody's own")

    for version in (*versions, versions[0]):
        _live(bucket, version, allow_older="a test")
        _mirror(bucket, tmp_path)

    assert [path.read_text() for path in others] == ["somebody's own"] * len(others)


def test_mirror_over_a_configuration_of_somebody_else_is_refused(
    bucket: str, versions: list[int], tmp_path: Path
) -> None:
    _live(bucket, versions[0])
    theirs = 'model_config_list { config { name: "resnet" base_path: "/models/resnet" } }'
    (tmp_path / "models.config").write_text(theirs)

    with pytest.raises(OutputExists, match=r"models.config: .* another file .resnet.. Choose another"):
        _mirror(bucket, tmp_path)

    assert not (tmp_path / "digits").exists()
    assert (tmp_path / "models.config").read_text() == theirs


def test_mirror_of_a_version_without_its_graph_leaves_the_folder_as_it_was(
    bucket: str, versions: list[int], tmp_path: Path
) -> None:
    old, new = versions
    _live(bucket, old)
    _mirror(bucket, tmp_path)
    before = (tmp_path / "models.config").read_text()
    _live(bucket, new)
    storage = open_storage(bucket)
    graph = storage.stat(f"digits/{new}/saved_model.pb")
    assert graph is not None
    storage.delete(graph.name, graph.generation)

    with pytest.raises(VerificationFailed, match=r"saved_model.pb: expected the 11 objects"):
        _mirror(bucket, tmp_path)

    assert (tmp_path / "models.config").read_text() == before
    assert {path.name for path in (tmp_path / "digits").iterdir()} == {str(old), "passport"}


def test_mirror_carries_the_passport_and_puts_back_what_was_changed_there(
    bucket: str, versions: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _live(bucket, versions[0])
    _mirror(bucket, tmp_path)
    storage = open_storage(bucket)
    release = read_release(storage, "digits", versions[0])
    assert release is not None
    folder = tmp_path / "digits" / "passport" / str(versions[0])
    published = {name: storage.read(release.attachments[name].name) for name in PASSPORT_FILES}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == published

    (folder / "card.md").write_text("mine")
    (folder / "bom.cdx.json").unlink()
    (folder / "bom.cdx.json").mkdir()
    assert _mirror(bucket, tmp_path) == {"digits": ((versions[0],), ())}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == published

    (folder / "card.md").unlink()
    (stored,) = storage.list(release.attachments["card.md"].name)
    storage.delete(stored.name, stored.generation)
    for somebody_s in (b"", b"other", b"x" * (3 << 20)):
        if somebody_s:
            storage.create(stored.name, somebody_s)
        caplog.clear()
        assert _mirror(bucket, tmp_path) == {"digits": ((versions[0],), ())}
        assert "not mirrored" in caplog.text
        assert {path.name for path in folder.iterdir()} == set(PASSPORT_FILES) - {"card.md"}
        storage.delete_many(storage.list(stored.name))


@pytest.mark.parametrize("content", [b"no configuration", b"\xff\xfe", _ELSEWHERE])
def test_mirror_of_a_configuration_that_somebody_wrote_takes_nothing_of_it(
    bucket: str, content: bytes, versions: list[int], tmp_path: Path
) -> None:
    _live(bucket, versions[0])
    storage = open_storage(bucket)
    found = storage.stat("digits/models.config")
    assert found is not None
    storage.replace("digits/models.config", content, found.generation)

    assert _mirror(bucket, tmp_path) == {"digits": ((versions[0],), (versions[0],))}

    (served,) = _config(tmp_path).model_config_list.config
    assert (served.base_path, served.model_platform) == (str(tmp_path / "digits"), "tensorflow")


def _change(version: Path) -> None:
    (version / "assets/vocabulary.txt").write_bytes(b"x\ny\n")


def _add(version: Path) -> None:
    (version / "assets/added.txt").touch()


def _lose(version: Path) -> None:
    (version / "saved_model.pb").unlink()


def _link(version: Path) -> None:
    version.rename(version.with_name("elsewhere"))
    version.symlink_to("elsewhere")


@pytest.mark.parametrize("damage", [_change, _add, _lose, _link])
def test_mirror_of_a_version_that_was_damaged_here_repairs_it(
    damage: Callable[[Path], None], bucket: str, exports: list[Any], versions: list[int], tmp_path: Path
) -> None:
    _live(bucket, versions[0])
    _mirror(bucket, tmp_path)
    version = tmp_path / "digits" / str(versions[0])
    damage(version)
    (tmp_path / "models.config").write_bytes(b"damaged")

    assert _mirror(bucket, tmp_path) == {"digits": ((versions[0],), (versions[0],))}

    assert not version.is_symlink()
    assert digest_tree(version) == digest_tree(exports[0].folder)
    assert _config(tmp_path).model_config_list.config[0].name == "digits"
