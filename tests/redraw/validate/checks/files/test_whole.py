import os
from collections.abc import Callable
from pathlib import Path

import pytest

from redraw.records import Check, ExportedModel
from redraw.validate.subject.subject import Subject

RunCheck = Callable[[str, Subject], Check]

INDEX, DATA = "variables/variables.index", "variables/variables.data-00000-of-00001"


@pytest.mark.parametrize("name", ["saved_model.pb", INDEX, DATA])
def test_files_whole_missing_file_is_named(name: str, hand_made, run_check: RunCheck) -> None:
    exported = hand_made.write()
    (hand_made.folder / name).unlink()
    check = run_check("files-whole", hand_made.as_written(exported))
    assert check.status == "failed"
    assert f"{name} is missing" in check.found


@pytest.mark.parametrize("name", ["saved_model.pb", INDEX, DATA])
def test_files_whole_truncated_file_is_named(name: str, hand_made, run_check: RunCheck) -> None:
    exported = hand_made.write()
    path = hand_made.folder / name
    os.truncate(path, path.stat().st_size - 3)
    check = run_check("files-whole", hand_made.as_written(exported))
    assert check.status == "failed"
    assert Path(name).name.partition(".data")[0] in check.found


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("notes.txt", "notes.txt is not a file of a SavedModel"),
        ("assets.extra/model.sig", "assets.extra/model.sig is not a file of a SavedModel"),
        ("model.sig.old", "model.sig.old is not a file of a SavedModel"),
        ("keras_metadata.pb", "keras_metadata.pb is not a file of a SavedModel"),
        ("assets.extra/other", "assets.extra/other is not a file of a SavedModel"),
        ("variables/variables.data-00000-of-00002", "is not one of the 1 data files"),
    ],
)
def test_files_whole_stray_file_is_named(name: str, problem: str, hand_made, run_check: RunCheck) -> None:
    hand_made.files[name] = b"stray"
    assert problem in run_check("files-whole", hand_made.subject()).found


def test_files_whole_warm_up_assets_and_fingerprint_pass(hand_made, run_check: RunCheck) -> None:
    names = ("assets.extra/tf_serving_warmup_requests", "assets/deep/words.txt", "fingerprint.pb")
    hand_made.files = dict.fromkeys(names, b"known")
    assert run_check("files-whole", hand_made.subject()).status == "passed"


@pytest.mark.parametrize("check", ["files-whole", "digest", "serve-tag"])
def test_files_whole_signature_of_model_signing_is_none_of_the_files(
    check: str, hand_made, run_check: RunCheck
) -> None:
    exported = hand_made.write()
    (hand_made.folder / "model.sig").write_text("{}")
    assert run_check(check, hand_made.as_written(exported)).status == "passed"


@pytest.mark.parametrize("target", ["variables", "saved_model.pb"])
def test_files_whole_symbolic_link_is_named(target: str, hand_made, run_check: RunCheck) -> None:
    exported = hand_made.write()
    (hand_made.folder / target).rename(hand_made.root / "elsewhere")
    (hand_made.folder / target).symlink_to(hand_made.root / "elsewhere")
    check = run_check("files-whole", hand_made.as_written(exported))
    assert f"{target} is a symbolic link" in check.found


def test_files_whole_pipe_is_named(hand_made, run_check: RunCheck) -> None:
    exported = hand_made.write()
    os.mkfifo(hand_made.folder / "pipe")
    assert "pipe is not a regular file" in run_check("files-whole", hand_made.as_written(exported)).found


def test_files_whole_no_folder_is_said(hand_made, run_check: RunCheck) -> None:
    exported: ExportedModel = hand_made.write()
    subject = hand_made.as_written(exported)
    subject.folder = hand_made.root / "gone"
    assert run_check("files-whole", subject).found.endswith("gone is not a folder")
    assert run_check("digest", subject).found == "digest no folder"


@pytest.mark.parametrize("change", ["content", "name", "more"])
def test_digest_changed_files_fail(change: str, hand_made, run_check: RunCheck) -> None:
    hand_made.files["assets/a"] = b"a"
    exported = hand_made.write()
    asset = hand_made.folder / "assets" / "a"
    if change == "content":
        asset.write_bytes(b"b")
    elif change == "name":
        asset.rename(asset.with_name("b"))
    else:
        asset.with_name("b").write_bytes(b"")
    assert run_check("digest", hand_made.as_written(exported)).status == "failed"
